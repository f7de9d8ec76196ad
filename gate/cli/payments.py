"""Commands for payment methods, and for the history of payments."""

from typing import Annotated

import typer
from rich.table import Table

from gate.cli.command_group import add_group
from gate.cli.connection import TIMEOUT_S, AsJson, payments_service, when
from gate.cli.options import AccountId, Limit, PageToken
from gate.cli.output import add_number_columns, enum_text, print_page, print_reply
from meter.currencies import format_minor
from meter.v1.payments_pb2 import (
    PAID,
    AddPaymentMethodRequest,
    CompletePaymentRequest,
    GetPaymentRequest,
    ListPaymentMethodsRequest,
    ListPaymentMethodsResponse,
    ListPaymentsRequest,
    ListPaymentsResponse,
    Money,
    Payment,
    PaymentMethod,
    PaymentMethodSetup,
    PaymentPurpose,
    PaymentState,
    RemovePaymentMethodRequest,
    SetDefaultPaymentMethodRequest,
)

MethodId = Annotated[str, typer.Argument(metavar="METHOD", help="Payment method id.")]
PaymentId = Annotated[str, typer.Argument(metavar="PAYMENT", help="Payment id.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    add_group(
        app,
        "payment-method",
        "What an account pays with: add, list, choose and remove methods.",
        {
            "add": add,
            "list": list_methods,
            "default": make_default,
            "remove": remove,
        },
    )
    add_group(
        app,
        "payment",
        "One payment: show, cancel or complete it.",
        {
            "show": show,
            "cancel": cancel,
            "complete": complete,
        },
    )
    app.command("payments")(list_payments)


def add(
    account_id: AccountId,
    default: Annotated[
        bool, typer.Option("--default", help="Make it the default; the first one is anyway.")
    ] = False,
    test_method: Annotated[
        str, typer.Option(help="With the provider `test`: what is saved, such as test_visa.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Print the link of a page on which a payment method can be saved: to open, or to pass on."""
    request = AddPaymentMethodRequest(
        account_id=account_id,
        make_default=default,
        test_method=test_method,
    )
    with payments_service() as payments:
        setup = payments.AddPaymentMethod(request, timeout=TIMEOUT_S)
    print_reply(setup, as_json, _setup_text)


def list_methods(account_id: AccountId, as_json: AsJson = False) -> None:
    """List an account's payment methods, the newest last."""
    request = ListPaymentMethodsRequest(account_id=account_id)
    with payments_service() as payments:
        reply = payments.ListPaymentMethods(request, timeout=TIMEOUT_S)
    print_reply(reply, as_json, _methods_table)


def make_default(account_id: AccountId, method_id: MethodId, as_json: AsJson = False) -> None:
    """Make a payment method the account's default."""
    request = SetDefaultPaymentMethodRequest(account_id=account_id, method_id=method_id)
    with payments_service() as payments:
        method = payments.SetDefaultPaymentMethod(request, timeout=TIMEOUT_S)
    print_reply(method, as_json, _default_text)


def remove(account_id: AccountId, method_id: MethodId, as_json: AsJson = False) -> None:
    """Remove a payment method, here and at the provider."""
    request = RemovePaymentMethodRequest(account_id=account_id, method_id=method_id)
    with payments_service() as payments:
        method = payments.RemovePaymentMethod(request, timeout=TIMEOUT_S)
    print_reply(method, as_json, _removed_text)


def list_payments(
    account_id: AccountId,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """List an account's payments, newest first."""
    request = ListPaymentsRequest(account_id=account_id, page_size=limit, page_token=page_token)
    with payments_service() as payments:
        page = payments.ListPayments(request, timeout=TIMEOUT_S)
    print_page(page, as_json, _payments_table)


def show(account_id: AccountId, payment_id: PaymentId, as_json: AsJson = False) -> None:
    """Show a payment, as the provider tells of it now."""
    request = GetPaymentRequest(account_id=account_id, payment_id=payment_id)
    with payments_service() as payments:
        payment = payments.GetPayment(request, timeout=TIMEOUT_S)
    print_reply(payment, as_json, payment_text)


def cancel(account_id: AccountId, payment_id: PaymentId, as_json: AsJson = False) -> None:
    """Cancel a payment that is not paid: no attempt begins any more."""
    request = GetPaymentRequest(account_id=account_id, payment_id=payment_id)
    with payments_service() as payments:
        payment = payments.CancelPayment(request, timeout=TIMEOUT_S)
    print_reply(payment, as_json, payment_text)


def complete(
    account_id: AccountId,
    payment_id: PaymentId,
    failed: Annotated[
        bool, typer.Option("--failed", help="No money came; default: it did.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell how a payment of the provider `manual`, or on a page of `test`, ended."""
    request = CompletePaymentRequest(
        account_id=account_id,
        payment_id=payment_id,
        failed=failed,
    )
    with payments_service() as payments:
        payment = payments.CompletePayment(request, timeout=TIMEOUT_S)
    print_reply(payment, as_json, payment_text)


def payment_text(payment: Payment) -> str:
    """Tells of a payment, and of what is to be done about it."""
    state = enum_text(PaymentState, payment.state)
    text = f"payment {payment.payment_id} of {_money_text(payment.total)}"
    text += f" for {payment.account_id}: {state}"
    if payment.method:
        text += f", {payment.method}"
    if payment.state != PAID and payment.failure_text:
        text += f" ({payment.failure_text})"
    if payment.action_url:
        text += f"\nto be confirmed by the customer: {payment.action_url}"
    if payment.instructions:
        text += f"\n{payment.instructions}"
    return text


def _money_text(money: Money) -> str:
    return format_minor(money.minor_units, money.currency)


def _setup_text(setup: PaymentMethodSetup) -> str:
    if setup.HasField("method"):
        return f"saved {_method_text(setup.method)}"
    until = when(setup.expires_at)
    return f"{setup.url}\nopen this page, or pass it on, until {until}"


def _default_text(method: PaymentMethod) -> str:
    return f"{_method_text(method)} is the default"


def _removed_text(method: PaymentMethod) -> str:
    return f"{_method_text(method)} is removed"


def _method_text(method: PaymentMethod) -> str:
    name = f"{method.brand or method.kind} {method.last4}".strip()
    return f"{name} ({method.method_id})"


def _methods_table(reply: ListPaymentMethodsResponse) -> Table:
    table = Table("method", "brand", "number", "holder", "expires", "", box=None)
    for method in reply.methods:
        table.add_row(
            method.method_id,
            method.brand or method.kind,
            method.last4,
            method.holder,
            _expiry_text(method),
            "default" if method.is_default else "",
        )
    return table


def _expiry_text(method: PaymentMethod) -> str:
    if not method.exp_year:
        return ""
    text = f"{method.exp_month:02d}/{method.exp_year}"
    if method.expired:
        text += " expired"
    return text


def _payments_table(page: ListPaymentsResponse) -> Table:
    table = Table("when (UTC)", "payment", "for", "state", "method", "failure", box=None)
    add_number_columns(table, "amount")
    for payment in page.payments:
        table.add_row(
            when(payment.create_time),
            payment.payment_id,
            enum_text(PaymentPurpose, payment.purpose),
            enum_text(PaymentState, payment.state),
            payment.method,
            payment.failure_code,
            _money_text(payment.total),
        )
    return table
