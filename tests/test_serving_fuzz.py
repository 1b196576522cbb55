"""Send generated requests to the API and compare the responses with its OpenAPI document."""

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sample_champions import CHAMPIONS, DIGITS

pytestmark = pytest.mark.slow

EXAMPLES_PER_OPERATION = 20
SUPPRESSED = [
    hypothesis.HealthCheck.too_slow,
    hypothesis.HealthCheck.filter_too_much,
    hypothesis.HealthCheck.data_too_large,
]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def document(server):
    """Load the OpenAPI document of the server.

    The maximum length of generated texts is set to 50, because longer texts take time and test nothing new.
    """
    document = server.get("/openapi.json").json()
    document["components"]["schemas"]["LanguageModelParams"]["properties"]["length"]["maximum"] = 50
    return schemathesis.openapi.from_dict(document)


@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
def test_every_response_to_a_valid_or_invalid_request_is_documented_and_no_server_error(server, document, mode):
    tested = set()
    for operation in (result.ok() for result in document.get_all_operations()):
        if mode is schemathesis.GenerationMode.NEGATIVE and operation.method.upper() == "GET":
            continue  # A GET request has no body, and every model name is valid.

        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        @hypothesis.settings(
            max_examples=EXAMPLES_PER_OPERATION, deadline=None, derandomize=True, suppress_health_check=SUPPRESSED
        )
        def send_request(case):
            case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=120)
            tested.add(case.operation.label)

        send_request()
    assert {f"POST /v1/models/{name}/predict" for name in CHAMPIONS} <= tested


def test_the_server_still_works_after_all_generated_requests(server):
    assert server.process.poll() is None
    assert server.predict(DIGITS, input=[[0] * 28] * 28).status_code == 200
    assert not [line for line in server.output if "Traceback" in line]
