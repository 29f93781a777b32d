"""What people see: real pages in a real browser, which pip does not bring."""
