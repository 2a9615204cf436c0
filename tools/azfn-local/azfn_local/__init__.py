"""azfn-local: a stand-in for the Azure Functions host, to run and test a custom handler without Azure.

The usual names in one place:

    from azfn_local import App, Handler, ClientRequest, http_envelope, build_envelope_request
"""

from .answer import Outcome, decode_answer
from .app import App, AppError, Binding, Function
from .certificates import CertificateAuthority, CertificateError
from .client_request import ClientRequest
from .console import Line
from .envelope import (SystemData, blob_envelope, build_envelope_request, build_invocation, http_envelope,
                       manual_envelope, message_envelope, queue_envelope, retry_context, timer_envelope)
from .forward import answer_to_client, build_forwarded_request
from .gateway import Gateway
from .handler_process import Handler, HandlerError
from .host import Host
from .http_head import HttpAnswer
from .identity import ManagedIdentity
from .key_vault import KeyVault
from .partner import Partner
from .proxy import build_proxied_head, proxied_answer
from .queue_storage import QueueStorage
from .routes import RouteTemplate, TemplateError, match_function
from .sample import sample_request
from .stand_ins import StandIns
from .wire import ConnectionPool, Response, WireError, build_request, read_response

__all__ = [
    "App", "AppError", "Binding", "CertificateAuthority", "CertificateError", "ClientRequest", "ConnectionPool",
    "Function", "Gateway", "Handler", "HandlerError", "Host", "HttpAnswer", "KeyVault", "Line", "ManagedIdentity",
    "Outcome", "Partner", "QueueStorage", "Response", "RouteTemplate", "StandIns", "SystemData", "TemplateError",
    "WireError", "answer_to_client", "blob_envelope", "build_envelope_request", "build_forwarded_request",
    "build_invocation", "build_proxied_head", "build_request", "decode_answer", "http_envelope", "manual_envelope",
    "match_function", "message_envelope", "proxied_answer", "queue_envelope", "read_response", "retry_context",
    "sample_request", "timer_envelope",
]
