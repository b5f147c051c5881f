"""The content that the figures are drawn from."""

import pytest
from tests.unit.report.evaluation_examples import full_content

from melanoma_pl.report.content import Content


@pytest.fixture(scope="module")
def content() -> Content:
    """A content in which every figure has something to show."""
    return full_content()
