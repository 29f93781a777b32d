"""
The Lambda functions of a user pool with triggers.

This file is what gets deployed: it runs wherever the emulator runs it, and imports nothing.
"""

from typing import Any

ATTEMPTS = 3
QUESTION, ANSWER = "What is the password of the day?", "swordfish"


def define_challenge(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Ask until the answer is right, three times at most."""
    rounds, response = event["request"]["session"], event["response"]
    response["issueTokens"] = bool(rounds) and rounds[-1]["challengeResult"]
    response["failAuthentication"] = not response["issueTokens"] and len(rounds) >= ATTEMPTS
    if not response["issueTokens"] and not response["failAuthentication"]:
        response["challengeName"] = "CUSTOM_CHALLENGE"
    return event


def create_challenge(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Pose the question."""
    event["response"]["publicChallengeParameters"] = {"question": QUESTION}
    event["response"]["privateChallengeParameters"] = {"answer": ANSWER}
    return event


def verify_answer(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Compare the answer."""
    request = event["request"]
    event["response"]["answerCorrect"] = request["challengeAnswer"] == request["privateChallengeParameters"]["answer"]
    return event


def customize_tokens(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Add claims of every JSON type, and a scope (version 2 of the event)."""
    claims = {
        "tenant": "t-42",
        "limits": {"per_day": 3, "currencies": ["EUR", "USD"]},
        "roles": ["clerk", "auditor"],
        "is_partner": True,
    }
    event["response"]["claimsAndScopeOverrideDetails"] = {
        "accessTokenGeneration": {"claimsToAddOrOverride": claims, "scopesToAdd": ["transactions/get"]},
        "idTokenGeneration": {"claimsToAddOrOverride": {"tenant": "t-42"}, "claimsToSuppress": ["email"]},
    }
    return event
