"""
Build doors at the emulator: what stands between a client and a Lambda function, and hands a token or claims on.

Every API has the same three operations, so that the doors can be compared: `GET /me`, which any caller may,
`GET /transactions` and `POST /transactions`, which need a scope each.  Nothing here knows cognito_guard.
"""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from .emulators import REGION, SeededPool, aws_client
from .oauth import PATIENCE, by_form
from .tokens import RESOURCE_SERVER

# Deployed and never imported: it is configured by an environment that it has at the emulator alone.
FUNCTIONS = Path(__file__).with_name("lambda_doors.py")
KEYS = "jwks.json"
"""The file that FUNCTIONS looks for."""
STAGE = "test"
SCHEMA = b"""
type Query { me: Caller }
type Caller {
    asserted_by: String subject: String client_id: String username: String token_use: String
    scopes: [String] groups: [String]
}
"""
OPERATIONS: Mapping[tuple[str, str], list[str]] = {
    ("GET", "me"): [],
    ("GET", "transactions"): [f"{RESOURCE_SERVER}/get"],
    ("POST", "transactions"): [f"{RESOURCE_SERVER}/post"],
}
"""Method and path of each operation, and the scope that it needs."""
_HEADER_OF_REST, _HEADER_OF_HTTP = "method.request.header.Authorization", "$request.header.Authorization"
_NOBODY = json.dumps({"Version": "2012-10-17", "Statement": []})
_INVOKE = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
_MAY_INVOKE = json.dumps({"Version": "2012-10-17", "Statement": [_INVOKE]})
_SERVICES = ("iam", "lambda", "apigateway", "apigatewayv2", "appsync", "elbv2", "cognito-identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where an API answers; `host` is the name that it goes by."""

    url: str
    http: httpx.Client = field(repr=False)
    host: str | None = None

    def ask(
        self, method: str, path: str, authorization: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request, with an Authorization header unless there is none."""
        sent = dict(headers or {})
        if self.host is not None:
            sent["Host"] = self.host
        if authorization is not None:
            sent["Authorization"] = authorization
        return self.http.request(method, f"{self.url}/{path}", headers=sent)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPool:
    """An identity pool that takes ID tokens of the user pool's web client, and guests."""

    identity_pool_id: str
    provider: str
    identities: Any = field(repr=False)

    def logins(self, id_token: str | None) -> dict[str, str]:
        """Return how somebody has signed in; a guest has not."""
        return {} if id_token is None else {self.provider: id_token}

    def identity_id(self, id_token: str | None) -> str:
        """Return the identity of a user or a guest."""
        found = self.identities.get_id(IdentityPoolId=self.identity_pool_id, Logins=self.logins(id_token))
        return str(found["IdentityId"])

    def token(self, id_token: str | None) -> str:
        """Return the token of an identity (GetOpenIdToken)."""
        given = {"IdentityId": self.identity_id(id_token), "Logins": self.logins(id_token)}
        return str(self.identities.get_open_id_token(**given)["Token"])

    def credentials(self, id_token: str | None) -> Mapping[str, str]:
        """Return AWS credentials of an identity."""
        given = {"IdentityId": self.identity_id(id_token), "Logins": self.logins(id_token)}
        credentials: Mapping[str, str] = self.identities.get_credentials_for_identity(**given)["Credentials"]
        return credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """A load balancer that signs users in at the user pool."""

    client_id: str
    door: Door

    def sign_in(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Sign the user in at the login page; return what the function behind got, its client having sent these."""
        login = self.door.ask("GET", "me").headers["Location"]
        sent_back = by_form(login)
        session = self.door.ask("GET", sent_back.raw_path.decode().removeprefix("/"))
        cookies = [cookie.partition(";")[0] for cookie in session.headers.get_list("Set-Cookie")]
        self.door.http.cookies.clear()
        answer = self.door.ask("GET", "me", headers={**headers, "Cookie": "; ".join(cookies)})
        got: Mapping[str, str] = answer.raise_for_status().json()["headers"]
        return got


class Site:
    """Deploy functions and doors for a user pool of the emulator."""

    def __init__(self, pool: SeededPool, clients: Mapping[str, Any], http: httpx.Client) -> None:
        self.pool = pool
        self._clients = clients
        self._http = http
        self._numbers = itertools.count(1)
        role = clients["iam"].create_role(RoleName="doors", AssumeRolePolicyDocument=_NOBODY)["Role"]
        clients["iam"].put_role_policy(RoleName="doors", PolicyName="invoke", PolicyDocument=_MAY_INVOKE)
        self._role: str = role["Arn"]
        self._account = self._role.split(":")[4]
        self._environment = {
            "COGNITO_USER_POOL_ID": pool.user_pool_id,
            "COGNITO_CLIENT_ID": f"{pool.web_client_id},{pool.machine_client_id}",
        }
        self._local_keys = {"COGNITO_JWKS_URI": pool.jwks_uri, "COGNITO_ALLOW_INSECURE_HTTP": "true"}

    def function(self, handler: str, name: str | None = None, *, jwks: bytes | None = None, **more: str) -> str:
        """Deploy a function of FUNCTIONS, with the keys beside it or told where they are; return its ARN."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.write(FUNCTIONS, FUNCTIONS.name)
            if jwks is not None:
                file.writestr(KEYS, jwks)
        keys = self._local_keys if jwks is None else {}
        created = self._clients["lambda"].create_function(
            FunctionName=name or handler,
            Runtime="python3.12",
            Role=self._role,
            Handler=f"{FUNCTIONS.stem}.{handler}",
            Code={"ZipFile": archive.getvalue()},
            Timeout=int(PATIENCE),
            Environment={"Variables": {**self._environment, **keys, **more}},
        )
        return str(created["FunctionArn"])

    def rest_api(self, function: str, authorization: str, authorizer: Mapping[str, Any] | None = None) -> Door:
        """Build a REST API with the authorization NONE or AWS_IAM, or with that of an authorizer."""
        gateway = self._clients["apigateway"]
        api = gateway.create_rest_api(name="rest")["id"]
        authorized = {"authorizationType": authorization}
        if authorizer is not None:
            created = gateway.create_authorizer(
                restApiId=api, identitySource=_HEADER_OF_REST, name="door", **authorizer
            )
            authorized["authorizerId"] = created["id"]
        root = gateway.get_resources(restApiId=api)["items"][0]["id"]
        resources = {
            path: gateway.create_resource(restApiId=api, parentId=root, pathPart=path)["id"]
            for path in dict.fromkeys(path for _, path in OPERATIONS)
        }
        for (method, path), scopes in OPERATIONS.items():
            where = {"restApiId": api, "resourceId": resources[path], "httpMethod": method}
            checked = {"authorizationScopes": scopes} if authorization == "COGNITO_USER_POOLS" else {}
            gateway.put_method(**where, **authorized, **checked)
            gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=_invocation(function))
        gateway.create_deployment(restApiId=api, stageName=STAGE)
        return Door(url=f"/_aws/execute-api/{api}/{STAGE}", http=self._http)

    def user_pool_authorizer(self) -> dict[str, Any]:
        """Describe the authorizer of a REST API that verifies the user pool's tokens."""
        pool = f"arn:aws:cognito-idp:{REGION}:{self._account}:userpool/{self.pool.user_pool_id}"
        return {"type": "COGNITO_USER_POOLS", "providerARNs": [pool]}

    def http_api(self, function: str, authorization: str, authorizer: Mapping[str, Any] | None = None) -> Door:
        """Build an HTTP API (payload format 2.0) with the authorization NONE, or with that of an authorizer."""
        gateway = self._clients["apigatewayv2"]
        api = gateway.create_api(Name="http", ProtocolType="HTTP")["ApiId"]
        authorized = {"AuthorizationType": authorization}
        if authorizer is not None:
            created = gateway.create_authorizer(ApiId=api, Name="door", IdentitySource=[_HEADER_OF_HTTP], **authorizer)
            authorized["AuthorizerId"] = created["AuthorizerId"]
        target = gateway.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
        )["IntegrationId"]
        for (method, path), scopes in OPERATIONS.items():
            checked = {"AuthorizationScopes": scopes} if authorization == "JWT" else {}
            route = {"RouteKey": f"{method} /{path}", "Target": f"integrations/{target}"}
            gateway.create_route(ApiId=api, **route, **authorized, **checked)
        gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
        return Door(url=f"/_aws/execute-api/{api}", http=self._http)

    def jwt_authorizer(self) -> dict[str, Any]:
        """Describe the authorizer of an HTTP API that verifies the tokens of two of the user pool's clients."""
        audience = [self.pool.web_client_id, self.pool.machine_client_id]
        return {"AuthorizerType": "JWT", "JwtConfiguration": {"Issuer": self.pool.issuer, "Audience": audience}}

    def function_url(self, function: str) -> Door:
        """Give a function a URL of its own, which anybody may ask."""
        name = function.rpartition(":")[2]
        functions = self._clients["lambda"]
        url = functions.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
        return Door(url=f"/_aws/lambda-url/{httpx.URL(url).host.partition('.')[0]}", http=self._http)

    def graphql_api(self, function: str) -> Door:
        """Build a GraphQL API of AppSync that takes tokens of the user pool: one field, resolved by the function."""
        appsync = self._clients["appsync"]
        config = {"userPoolId": self.pool.user_pool_id, "awsRegion": REGION, "defaultAction": "ALLOW"}
        api = appsync.create_graphql_api(
            name="doors", authenticationType="AMAZON_COGNITO_USER_POOLS", userPoolConfig=config
        )["graphqlApi"]["apiId"]
        appsync.start_schema_creation(apiId=api, definition=SCHEMA)
        appsync.create_data_source(
            apiId=api,
            name="function",
            type="AWS_LAMBDA",
            serviceRoleArn=self._role,
            lambdaConfig={"lambdaFunctionArn": function},
        )
        appsync.create_resolver(apiId=api, typeName="Query", fieldName="me", dataSourceName="function")
        return Door(url=f"/v1/apis/{api}", http=self._http)

    def identity_pool(self) -> IdentityPool:
        """Create an identity pool whose identities may invoke APIs."""
        provider = f"cognito-idp.{REGION}.amazonaws.com/{self.pool.user_pool_id}"
        identities = self._clients["cognito-identity"]
        pool_id = identities.create_identity_pool(
            IdentityPoolName="doors",
            AllowUnauthenticatedIdentities=True,
            CognitoIdentityProviders=[{"ProviderName": provider, "ClientId": self.pool.web_client_id}],
        )["IdentityPoolId"]
        roles = dict.fromkeys(("authenticated", "unauthenticated"), self._role)
        identities.set_identity_pool_roles(IdentityPoolId=pool_id, Roles=roles)
        return IdentityPool(identity_pool_id=pool_id, provider=provider, identities=identities)

    def balancer(self, function: str) -> Balancer:
        """Build a load balancer that signs users in (`authenticate-oidc`) before it asks the function."""
        made = self._load_balancer()
        client = self.pool.cognito.create_user_pool_client(
            UserPoolId=self.pool.user_pool_id,
            ClientName="load balancer",
            GenerateSecret=True,
            AllowedOAuthFlows=["code"],
            AllowedOAuthFlowsUserPoolClient=True,
            AllowedOAuthScopes=["openid"],
            CallbackURLs=[f"http://{made['DNSName']}/oauth2/idpresponse"],
            SupportedIdentityProviders=["COGNITO"],
        )["UserPoolClient"]
        at = f"{self.pool.endpoint}/oauth2"
        sign_in = {
            "Issuer": self.pool.issuer,
            "AuthorizationEndpoint": f"{at}/authorize",
            "TokenEndpoint": f"{at}/token",
            "UserInfoEndpoint": f"{at}/userInfo",
            "ClientId": client["ClientId"],
            "ClientSecret": client["ClientSecret"],
            "Scope": "openid",
        }
        first = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": sign_in}
        door = self._listener(made, function, [first])
        return Balancer(client_id=client["ClientId"], door=door)

    def open_balancer(self, function: str) -> Door:
        """Build a load balancer that asks the function, whoever comes."""
        return self._listener(self._load_balancer(), function, [])

    def _load_balancer(self) -> Mapping[str, str]:
        name = f"balancer-{next(self._numbers)}"
        made = self._clients["elbv2"].create_load_balancer(Name=name, Subnets=["subnet-1", "subnet-2"])
        balancer: Mapping[str, str] = made["LoadBalancers"][0]
        return balancer

    def _listener(self, balancer: Mapping[str, str], function: str, before: list[dict[str, Any]]) -> Door:
        balancing, name = self._clients["elbv2"], balancer["LoadBalancerName"]
        group = balancing.create_target_group(Name=name, TargetType="lambda")["TargetGroups"][0]["TargetGroupArn"]
        balancing.register_targets(TargetGroupArn=group, Targets=[{"Id": function}])
        forward = {"Type": "forward", "Order": len(before) + 1, "TargetGroupArn": group}
        arn = balancer["LoadBalancerArn"]
        balancing.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=[*before, forward])
        return Door(url="", http=self._http, host=balancer["DNSName"])


@contextmanager
def site_of(pool: SeededPool) -> Generator[Site]:
    """Prepare to build doors for a user pool."""
    with ExitStack() as stack:
        clients = {name: stack.enter_context(closing(aws_client(name, pool.endpoint))) for name in _SERVICES}
        http = stack.enter_context(httpx.Client(base_url=pool.endpoint, trust_env=False, timeout=PATIENCE))
        yield Site(pool, clients, http)


def rest_authorizer(function: str, kind: str) -> dict[str, Any]:
    """Describe a Lambda authorizer of a REST API: TOKEN or REQUEST."""
    return {"type": kind, "authorizerUri": _invocation(function)}


def http_authorizer(function: str, payload_format: str, **more: Any) -> dict[str, Any]:
    """Describe a Lambda authorizer of an HTTP API."""
    called = {"AuthorizerUri": _invocation(function), "AuthorizerPayloadFormatVersion": payload_format}
    return {"AuthorizerType": "REQUEST", **called, **more}


def _invocation(function: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
