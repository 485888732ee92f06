"""What the policies that docs/ ships allow and refuse, by IAM's rules: a deployment is possible, an escalation is not.

The local cloud knows neither the tags of EC2's resources nor the boundary that a request names, so the conditions on
them are tested here. `make lint` checks that AWS knows each action, with that resource and that condition.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.policies import ACCOUNT, BOUNDARY, DEPLOYER, DOCS, PREFIX, REGION, Context, allows, as_list, policy

LIMIT = 6144
"""Characters of a managed policy, blanks not counted ("IAM and AWS STS quotas")."""
BOUNDARY_ARN = f"arn:aws:iam::{ACCOUNT}:policy/{PREFIX}-boundary-{REGION}"
OWN: Context = {"aws:ResourceTag/application": PREFIX, "aws:ResourceTag/Name": PREFIX}
MADE: Context = {"aws:RequestTag/application": PREFIX, "aws:TagKeys": ["Name", "application"]}
FOREIGN: Context = {"aws:ResourceTag/application": "payroll", "aws:ResourceTag/Name": "payroll"}
UNTAGGED: Context = {}
BOUNDED: Context = {"iam:PermissionsBoundary": BOUNDARY_ARN}


def ec2(kind: str) -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:{kind}/{kind}-0a1b"


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b"
ALIAS = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/{PREFIX}"
API = f"arn:aws:apigateway:{REGION}::/apis/a1b2"
CLOSED: Context = {"aws:ResourceTag/application": PREFIX, "aws:ResourceTag/Name": f"{PREFIX}-default-closed"}
THROUGH_LAMBDA: Context = {"kms:ViaService": f"lambda.{REGION}.amazonaws.com"}


@dataclass(frozen=True)
class Call:
    """What somebody with the deployer's policies asks AWS for."""

    what: str
    action: str
    resource: str
    context: Context = field(default_factory=dict)

    def __str__(self) -> str:
        return self.what

    def allowed(self) -> bool:
        return allows(map(policy, DEPLOYER), self.action, self.resource, self.context)


DEPLOYING = [
    Call("make a bounded role", "iam:CreateRole", role("lnn-launch-us-east-1"), {**BOUNDED, **MADE}),
    Call("tag a role as it is made", "iam:TagRole", role("lnn-launch-us-east-1"), MADE),
    Call("bound a role of an earlier release", "iam:PutRolePermissionsBoundary", role("lnn-launch"), BOUNDED),
    Call("give a bounded role its policy", "iam:PutRolePolicy", role("lnn-launch"), BOUNDED),
    Call("delete a role of an earlier release", "iam:DeleteRole", role("lnn-launch")),
    Call("give Lambda a role", "iam:PassRole", role("lnn-launch"), {"iam:PassedToService": "lambda.amazonaws.com"}),
    Call(
        "have API Gateway's own role made",
        "iam:CreateServiceLinkedRole",
        role("aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"),
        {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"},
    ),
    Call("make a key", "kms:CreateKey", "*", MADE),
    Call("tag a key as it is made", "kms:TagResource", KEY, MADE),
    Call("name the own key: the key", "kms:CreateAlias", KEY, OWN),
    Call("name the own key: the alias", "kms:CreateAlias", ALIAS),
    Call("change the own key's policy", "kms:PutKeyPolicy", KEY, OWN),
    Call("read settings that the own key encrypts", "kms:Decrypt", KEY, {**OWN, **THROUGH_LAMBDA}),
    Call("delete the own key", "kms:ScheduleKeyDeletion", KEY, OWN),
    Call("make a VPC", "ec2:CreateVpc", ec2("vpc"), MADE),
    Call("tag a VPC as it is made", "ec2:CreateTags", ec2("vpc"), {**MADE, "ec2:CreateAction": "CreateVpc"}),
    Call("make a subnet: the subnet", "ec2:CreateSubnet", ec2("subnet"), MADE),
    Call("make a subnet: its VPC", "ec2:CreateSubnet", ec2("vpc"), OWN),
    Call("make an endpoint: the endpoint", "ec2:CreateVpcEndpoint", ec2("vpc-endpoint"), MADE),
    Call("make an endpoint: its group", "ec2:CreateVpcEndpoint", ec2("security-group"), OWN),
    Call("name endpoints in the VPC", "route53:AssociateVPCWithHostedZone", "arn:aws:route53:::hostedzone/Z1"),
    Call(
        "make an endpoint in a VPC that is there",
        "ec2:CreateVpcEndpoint",
        ec2("vpc"),
        {"aws:ResourceTag/application": f"{PREFIX}-host"},
    ),
    Call(
        "tag the new VPC's default group",
        "ec2:CreateTags",
        ec2("security-group"),
        {**MADE, "aws:RequestTag/Name": f"{PREFIX}-default-closed"},
    ),
    Call("close the new VPC's default group", "ec2:RevokeSecurityGroupIngress", ec2("security-group"), CLOSED),
    Call("open an own group", "ec2:AuthorizeSecurityGroupIngress", ec2("security-group"), OWN),
    Call("change a rule of an own group", "ec2:ModifySecurityGroupRules", ec2("security-group"), OWN),
    Call("change a rule: the rule", "ec2:ModifySecurityGroupRules", ec2("security-group-rule"), OWN),
    Call("tag a rule", "ec2:CreateTags", ec2("security-group-rule"), MADE),
    Call(
        "tag what is there", "ec2:CreateTags", ec2("vpc"), {**OWN, "aws:TagKeys": ["team"], "aws:RequestTag/team": "a"}
    ),
    Call("delete the own VPC", "ec2:DeleteVpc", ec2("vpc"), OWN),
    Call("delete an own group", "ec2:DeleteSecurityGroup", ec2("security-group"), OWN),
    Call("delete an interface that a function left", "ec2:DeleteNetworkInterface", ec2("network-interface")),
    Call(
        "have SageMaker make an interface",
        "ec2:CreateNetworkInterface",
        ec2("network-interface"),
        {"aws:ViaAWSService": "true"},
    ),
    Call("make an API", "apigateway:POST", f"arn:aws:apigateway:{REGION}::/apis", MADE),
    Call("make a route", "apigateway:POST", f"{API}/routes"),
    Call("delete the own API", "apigateway:DELETE", API, OWN),
    Call("read a parameter group", "elasticache:DescribeCacheParameterGroups", "*"),
]

ESCALATIONS = [
    Call("make a role without the boundary", "iam:CreateRole", role("lnn-x"), MADE),
    Call(
        "make a role with another boundary",
        "iam:CreateRole",
        role("lnn-x"),
        {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    Call("make a role of another name", "iam:CreateRole", role("admin"), BOUNDED),
    Call("give an unbounded role a policy", "iam:PutRolePolicy", role("lnn-x")),
    Call(
        "attach AdministratorAccess",
        "iam:AttachRolePolicy",
        role("lnn-x"),
        {**BOUNDED, "iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    Call("unbound a role", "iam:DeleteRolePermissionsBoundary", role("lnn-launch"), BOUNDED),
    Call(
        "bound a role by AdministratorAccess",
        "iam:PutRolePermissionsBoundary",
        role("lnn-launch"),
        {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    Call("change who may take on a role", "iam:UpdateAssumeRolePolicy", role("lnn-admin")),
    Call("take on a role", "sts:AssumeRole", role("lnn-launch")),
    Call("pass a foreign role", "iam:PassRole", role("admin"), {"iam:PassedToService": "lambda.amazonaws.com"}),
    Call("pass a role to EC2", "iam:PassRole", role("lnn-launch"), {"iam:PassedToService": "ec2.amazonaws.com"}),
    Call("change the boundary", "iam:CreatePolicyVersion", BOUNDARY_ARN),
    Call("go back to another version of the boundary", "iam:SetDefaultPolicyVersion", BOUNDARY_ARN),
    Call("delete the boundary", "iam:DeletePolicy", BOUNDARY_ARN),
    Call("give itself a policy", "iam:PutUserPolicy", f"arn:aws:iam::{ACCOUNT}:user/deployer"),
    Call("make a user's key", "iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/lnn-admin"),
    Call("decrypt with a foreign key", "kms:Decrypt", KEY, {**FOREIGN, **THROUGH_LAMBDA}),
    Call("decrypt with a key that nobody tagged", "kms:Decrypt", KEY, THROUGH_LAMBDA),
    Call("decrypt with the own key by itself", "kms:Decrypt", KEY, OWN),
    Call("change a foreign key's policy", "kms:PutKeyPolicy", KEY, FOREIGN),
    Call("change the policy of a key that nobody tagged", "kms:PutKeyPolicy", KEY),
    Call("delete a foreign key", "kms:ScheduleKeyDeletion", KEY, FOREIGN),
    Call("grant a foreign key", "kms:CreateGrant", KEY, {**FOREIGN, **THROUGH_LAMBDA}),
    Call("make a foreign key its own", "kms:TagResource", KEY, {**FOREIGN, **MADE}),
    Call("make a key with a name its own", "kms:TagResource", KEY, {**MADE, "kms:ResourceAliases": ["alias/payroll"]}),
    Call("give a foreign key the own name", "kms:CreateAlias", KEY, FOREIGN),
    Call("make a VPC that nobody could tell", "ec2:CreateVpc", ec2("vpc")),
    Call("make a subnet in a foreign VPC", "ec2:CreateSubnet", ec2("vpc"), {**FOREIGN, **MADE}),
    Call("make an endpoint in a foreign subnet", "ec2:CreateVpcEndpoint", ec2("subnet"), {**UNTAGGED, **MADE}),
    *(
        Call(f"delete {what} {kind}", f"ec2:{action}", ec2(kind), tags)
        for kind, action in {
            "vpc": "DeleteVpc",
            "subnet": "DeleteSubnet",
            "security-group": "DeleteSecurityGroup",
            "route-table": "DeleteRouteTable",
            "vpc-endpoint": "DeleteVpcEndpoints",
            "vpc-flow-log": "DeleteFlowLogs",
        }.items()
        for what, tags in {
            "a foreign": FOREIGN,
            "an untagged": UNTAGGED,
            "the host's": {"aws:ResourceTag/application": f"{PREFIX}-host"},
        }.items()
    ),
    Call("open a foreign group", "ec2:AuthorizeSecurityGroupIngress", ec2("security-group"), FOREIGN),
    Call("close an untagged group", "ec2:RevokeSecurityGroupEgress", ec2("security-group"), UNTAGGED),
    Call("change a rule of a foreign group", "ec2:ModifySecurityGroupRules", ec2("security-group"), FOREIGN),
    Call("make a foreign VPC its own", "ec2:CreateTags", ec2("vpc"), {**FOREIGN, **MADE}),
    Call("make an untagged VPC its own", "ec2:CreateTags", ec2("vpc"), MADE),
    Call(
        "make an untagged group its own", "ec2:CreateTags", ec2("security-group"), {**MADE, "aws:RequestTag/Name": "x"}
    ),
    Call(
        "make a foreign group its own by the default group's name",
        "ec2:CreateTags",
        ec2("security-group"),
        {**FOREIGN, **MADE, "aws:RequestTag/Name": f"{PREFIX}-default-closed"},
    ),
    Call("open a default group", "ec2:AuthorizeSecurityGroupIngress", ec2("security-group"), CLOSED),
    Call(
        "delete a default group",
        "ec2:DeleteSecurityGroup",
        ec2("security-group"),
        CLOSED,
    ),
    Call(
        "rename a default group to delete it",
        "ec2:CreateTags",
        ec2("security-group"),
        {**CLOSED, "aws:RequestTag/Name": "x", "aws:TagKeys": ["Name"]},
    ),
    Call("delete an interface that is another's", "ec2:DeleteNetworkInterface", ec2("network-interface"), FOREIGN),
    Call("detach an interface", "ec2:DetachNetworkInterface", ec2("network-interface")),
    Call("lend an interface", "ec2:CreateNetworkInterfacePermission", ec2("network-interface")),
    Call("start a machine", "ec2:RunInstances", ec2("instance"), MADE),
    Call("delete a foreign API", "apigateway:DELETE", API, FOREIGN),
    Call("delete an untagged API", "apigateway:DELETE", API, UNTAGGED),
    Call(
        "delete a foreign parameter group",
        "elasticache:DeleteCacheParameterGroup",
        f"arn:aws:elasticache:{REGION}:{ACCOUNT}:parametergroup:payroll",
    ),
    Call("read a foreign bucket", "s3:GetObject", "arn:aws:s3:::payroll/x"),
]


@pytest.mark.parametrize("call", DEPLOYING, ids=str)
def test_a_deployer_may(call: Call) -> None:
    assert call.allowed()


@pytest.mark.parametrize("call", ESCALATIONS, ids=str)
def test_a_deployer_may_not(call: Call) -> None:
    assert not call.allowed()


@pytest.mark.parametrize("name", [*DEPLOYER, BOUNDARY])
def test_a_policy_fits_a_managed_policy_for_the_longest_names(name: str) -> None:
    document = policy(name, prefix="p" * 20, region="ap-southeast-1", account=ACCOUNT)
    assert len(json.dumps(document, separators=(",", ":"))) <= LIMIT


def test_a_role_within_the_boundary_gives_nobody_more_than_the_deployments_own_data() -> None:
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

    def bounded(action: str, resource: str, context: Context | None = None) -> bool:
        return all(allows([document], action, resource, context) for document in (everything, policy(BOUNDARY)))

    assert bounded("s3:GetObject", f"arn:aws:s3:::{PREFIX}-{ACCOUNT}-{REGION}/training_input/x.h5")
    assert not bounded("s3:GetObject", "arn:aws:s3:::payroll/x")
    assert not bounded(
        "s3:GetObject", f"arn:aws:s3:::{PREFIX}-terraform-state-{ACCOUNT}-{REGION}/lnn/terraform.tfstate"
    )
    assert not bounded("iam:CreateRole", role("lnn-x"), BOUNDED)
    assert not bounded("sts:AssumeRole", role("admin"))
    assert not bounded("kms:Decrypt", KEY, {"kms:ViaService": f"sns.{REGION}.amazonaws.com"})
    assert not bounded("lambda:UpdateFunctionCode", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:lnn-launch")
    code = {"lambda:SourceFunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:lnn-launch"}
    assert bounded("ec2:CreateNetworkInterface", ec2("network-interface"))
    assert not bounded("ec2:CreateNetworkInterface", ec2("network-interface"), code)


def test_an_administrator_makes_the_policies_with_one_command(tmp_path: Path) -> None:
    program = tmp_path / "aws"
    program.write_text(
        "#!/usr/bin/env bash\n"
        f'printf "%s\\n" "$*" >>{tmp_path}/asked\n'
        f"if [[ $2 == get-caller-identity ]]; then echo {ACCOUNT}; fi\n"
        f"if [[ $2 == create-policy ]]; then echo arn:aws:iam::{ACCOUNT}:policy/$4; fi\n"
        f'if [[ $2 == create-policy ]]; then printf "%s" "${{10}}" >"{tmp_path}/$4.json"; fi\n'
    )
    program.chmod(0o755)
    done = subprocess.run(
        [DOCS.parent / "scripts" / "deployer_policies.sh", PREFIX, REGION, "ada"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f'permissions_boundary = "{BOUNDARY_ARN}"\n'
    made = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    expected = {f"{PREFIX}-{name}-{REGION}": policy(name) for name in DEPLOYER}
    assert made == expected | {f"{PREFIX}-boundary-{REGION}": policy(BOUNDARY)}
    attached = [line for line in (tmp_path / "asked").read_text().splitlines() if "attach-user-policy" in line]
    assert len(attached) == 3
    assert all("--user-name ada" in line and "boundary" not in line for line in attached)


def test_the_boundary_allows_no_action_by_a_pattern() -> None:
    allowed = [
        action
        for statement in policy(BOUNDARY)["Statement"]
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    ]
    assert allowed
    assert not [action for action in allowed if "*" in action]
