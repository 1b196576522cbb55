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

from served import DIGITS, POEMS, ROAD, TOY

pytestmark = pytest.mark.slow

EXAMPLES = 20  # of each operation, each way
SLOW = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much, hypothesis.HealthCheck.data_too_large]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def document(server):
    """The server's own, but for long texts: they cost time and ask nothing else."""
    told = server.get("/openapi.json").json()
    told["components"]["schemas"]["LanguageModelParams"]["properties"]["length"]["maximum"] = 50
    return schemathesis.openapi.from_dict(told)


@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
def test_no_request_breaks_the_server_and_every_answer_is_a_documented_one(server, document, mode):
    """What the document allows, and what it does not, for each operation in turn."""
    asked = set()
    for operation in (result.ok() for result in document.get_all_operations()):
        if mode is schemathesis.GenerationMode.NEGATIVE and operation.method.upper() == "GET":
            continue  # any name may be asked for: without a body nothing can be wrong

        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        @hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=SLOW)
        def ask(case):
            case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=120)
            asked.add(case.operation.label)

        ask()
    assert {f"POST /v1/models/{name}/predict" for name in (DIGITS, POEMS, TOY, ROAD)} <= asked


def test_the_server_still_answers_after_all_that(server):
    assert server.process.poll() is None
    assert server.predict(DIGITS, input=[[0] * 28] * 28).status_code == 200
    assert not [line for line in server.said if "Traceback" in line]
