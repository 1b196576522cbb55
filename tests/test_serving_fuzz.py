"""The API asked what its own OpenAPI document allows, and what it does not: it never breaks, and keeps its word."""

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from served import DIGITS

pytestmark = pytest.mark.slow

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def document(server):
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


fuzzed = schemathesis.pytest.from_fixture("document")


@fuzzed.parametrize()
@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
def test_no_request_breaks_the_server_and_every_answer_is_a_documented_one(case):
    case.call_and_validate(checks=CHECKS, timeout=120)


def test_the_server_still_answers_after_all_that(server):
    assert server.process.poll() is None
    assert server.predict(DIGITS, input=[[0] * 28] * 28).status_code == 200
    assert not [line for line in server.said if "Traceback" in line]
