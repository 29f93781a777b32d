-- Ask the guard about each request: copy what it says of the caller, or send its refusal on.
local TIMEOUT = 5000 -- milliseconds

local function first(values)
    return values and values[0]
end

local function ask(txn, url)
    local asked = {
        ["x-original-method"] = { txn.f:method() },
        ["x-original-uri"] = { txn.f:pathq() },
    }
    -- Every value: which of several counts is not decided here.
    local given = txn.http:req_get_headers()["authorization"]
    if given then
        asked["authorization"] = {}
        for place, value in pairs(given) do
            asked["authorization"][place + 1] = value
        end
    end
    return core.httpclient():get{url = url, headers = asked, timeout = TIMEOUT}
end

local function refuse(txn, status, answer)
    local reply = txn:reply{status = status}
    for _, name in ipairs({"www-authenticate", "retry-after", "cache-control", "content-type"}) do
        local value = answer and first(answer.headers[name])
        if value then
            reply:add_header(name, value)
        end
    end
    reply:set_body(answer and answer.body or "")
    txn:done(reply)
end

core.register_action("cognito_guard", {"http-req"}, function(txn, url)
    local asked, answer = pcall(ask, txn, url)
    if not asked or not answer or not answer.status or answer.status == 0 then
        return refuse(txn, 503)
    end
    if answer.status ~= 200 then
        return refuse(txn, answer.status, answer)
    end
    for name, values in pairs(answer.headers) do
        if name:find("^x%-auth%-") then
            txn.http:req_set_header(name, first(values) or "")
        end
    end
end, 1)
