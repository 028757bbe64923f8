//! Errors as answers: every one is `application/problem+json` (RFC 9457), and says what would be right.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lode_protocol::api::{FieldError, Problem};

use crate::port::PortError;

/// Seconds after which a client that was turned away for load may ask again.
const RETRY_AFTER_S: u32 = 5;

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
}

impl Fault {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Fault {
        Fault { status, kind, title, detail: detail.into(), errors: Vec::new() }
    }

    /// 400
    pub(crate) fn bad_request(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, "bad-request", "The request is malformed", detail)
    }

    /// 401
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid key is needed", detail)
    }

    /// 403
    pub(crate) fn key_in_the_open(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::FORBIDDEN, "insecure-transport", "Keys are not taken over plain HTTP", detail)
    }

    /// 404
    pub(crate) fn not_found(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    /// 405
    pub(crate) fn method(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not taken here", detail)
    }

    /// 408
    pub(crate) fn slow_body(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "The body came too slowly", detail)
    }

    /// 413
    pub(crate) fn too_large(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large", detail)
    }

    /// 415
    pub(crate) fn content_type(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", "The body must be JSON", detail)
    }

    /// 416
    pub(crate) fn range(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "There are no such bytes", detail)
    }

    /// 422
    pub(crate) fn fields(errors: Vec<FieldError>) -> Fault {
        let names: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("wrong: {}", names.join(", "));
        let fault = Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong-fields", "Fields are wrong", detail);
        Fault { errors, ..fault }
    }

    /// 503 at a bound.
    pub(crate) fn busy(detail: impl Into<String>) -> Fault {
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "A limit of the pool is reached", detail)
    }

    /// 503 of a pool that cannot do its work.
    pub(crate) fn not_ready(faults: &[String]) -> Fault {
        let errors = faults.iter().map(|fault| FieldError { field: "pool".into(), detail: fault.clone() }).collect();
        let title = "The pool is not ready";
        Fault { errors, ..Fault::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", title, faults.join("; ")) }
    }

    /// Its HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Its kind in words.
    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    /// What was wrong here.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    fn headers(&self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lode\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
            _ => {}
        }
    }
}

impl From<PortError> for Fault {
    fn from(error: PortError) -> Fault {
        let detail = error.to_string();
        match error {
            PortError::NotFound(_) => Fault::not_found(detail),
            PortError::Fields(errors) => Fault::fields(errors),
            PortError::Short { .. } => {
                let title = "The balance is short";
                Fault::new(StatusCode::PAYMENT_REQUIRED, "short-balance", title, detail)
            }
            PortError::Conflict(_) => {
                let title = "It contradicts what is there";
                Fault::new(StatusCode::CONFLICT, "conflict", title, detail)
            }
            PortError::Busy(_) => Fault::busy(detail),
            PortError::LedgerDown(_) => {
                let title = "The ledger takes no entries";
                Fault::new(StatusCode::SERVICE_UNAVAILABLE, "ledger-down", title, detail)
            }
            PortError::TooLarge(_) => Fault::too_large(detail),
            PortError::Full(_) => {
                let title = "There is no room for it";
                Fault::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", title, detail)
            }
            PortError::Digest { .. } => {
                let title = "The digest is another";
                Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong-digest", title, detail)
            }
            PortError::Storage(_) => {
                let title = "The pool's storage fails";
                Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", title, detail)
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("/problems/{}", self.kind),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        };
        let mut response = (self.status, Json(problem)).into_response();
        self.headers(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use lode_protocol::Digest;
    use lode_protocol::api::Amount;

    use super::*;

    #[test]
    fn every_port_error_has_its_status() {
        let short =
            PortError::Short { balance: Amount(1), needed: Amount(2), asset: "CREDIT".parse().expect("is a name") };
        let cases = [
            (PortError::NotFound("job j9".into()), 404),
            (PortError::Fields(vec![]), 422),
            (short, 402),
            (PortError::Conflict("x".into()), 409),
            (PortError::Busy("x".into()), 503),
            (PortError::LedgerDown("x".into()), 503),
            (PortError::TooLarge("x".into()), 413),
            (PortError::Full("x".into()), 507),
            (PortError::Digest { expected: Digest([1; 32]), found: Digest([2; 32]) }, 422),
            (PortError::Storage("x".into()), 500),
        ];
        for (error, status) in cases {
            assert_eq!(Fault::from(error.clone()).status().as_u16(), status, "{error}");
        }
    }

    #[test]
    fn a_problem_tells_type_and_fields() {
        let fault = Fault::fields(vec![FieldError { field: "budget".into(), detail: "is missing".into() }]);
        assert_eq!(fault.detail(), "wrong: budget");
        let response = fault.into_response();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
