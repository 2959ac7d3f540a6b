//! Which request goes where.

use hyper::{Method, StatusCode};

use crate::http::Problem;

/// The three workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Gaussian blur of a picture.
    Blur,
    /// Local histogram equalisation of a picture.
    Enhance,
    /// Rendering of a scene.
    Raytrace,
}

impl Kind {
    /// Its word in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Blur => "blur",
            Self::Enhance => "enhance",
            Self::Raytrace => "raytrace",
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// `OPTIONS` of anything.
    Preflight,
    /// `/`.
    Root,
    /// `/test`.
    Test,
    /// `/health`.
    Health,
    /// `/requests`: what it works on, for who asks this VM itself.
    Requests,
    /// One of the workloads.
    Work(Kind),
}

const WORKLOADS: [(&str, Kind); 3] =
    [("/blurimage", Kind::Blur), ("/enhanceimage", Kind::Enhance), ("/raytracer", Kind::Raytrace)];

/// Where a request goes.
///
/// Workloads are found by the beginning of the path and take any method, as long as there is
/// something to work on: existing clients depend on both.
///
/// What a VM works on is not for the clients of a cluster: a request that a balancer hands on does
/// not find it.
///
/// # Errors
/// 404 for a path that nothing answers, 405 for a method that makes no sense there.
pub(super) fn route(
    method: &Method,
    path: &str,
    has_body: bool,
    by_balancer: bool,
) -> Result<Route, Problem> {
    if method == Method::OPTIONS {
        return Ok(Route::Preflight);
    }
    let reading = [Method::GET, Method::HEAD].contains(method);
    if let Some((prefix, kind)) = WORKLOADS.iter().find(|(prefix, _)| path.starts_with(prefix)) {
        return if reading && !has_body {
            let detail = format!("{prefix} works on what is sent to it: use POST, with a body");
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail))
        } else {
            Ok(Route::Work(*kind))
        };
    }
    let route = match path.strip_suffix('/').unwrap_or(path) {
        "" => Route::Root,
        "/test" => Route::Test,
        "/health" => Route::Health,
        "/requests" if !by_balancer => Route::Requests,
        _ => {
            let path: String = path.chars().take(80).collect();
            let detail = format!(
                "nothing answers at {path}; there are /blurimage, /enhanceimage, /raytracer, \
                 /health, /test and /"
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
    };
    if reading {
        Ok(route)
    } else {
        let detail = format!("{path} answers GET, HEAD and OPTIONS, not {method}");
        Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail))
    }
}

/// The methods for the `Allow` header of a 405 answer.
pub(super) fn allowed(path: &str) -> &'static str {
    if WORKLOADS.iter().any(|(prefix, _)| path.starts_with(prefix)) {
        "POST, OPTIONS"
    } else {
        "GET, HEAD, OPTIONS"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &Method, path: &str, has_body: bool) -> u16 {
        route(method, path, has_body, true).map_or_else(|problem| problem.status.as_u16(), |_| 200)
    }

    #[test]
    fn workloads_are_found_by_the_beginning_of_the_path() {
        for path in ["/blurimage", "/blurimage/", "/blurimagefoo", "/blurimage/a/b"] {
            assert_eq!(
                route(&Method::POST, path, true, true),
                Ok(Route::Work(Kind::Blur)),
                "{path}"
            );
        }
        let enhance = route(&Method::POST, "/enhanceimage/", true, true);
        assert_eq!(enhance, Ok(Route::Work(Kind::Enhance)));
        let raytrace = route(&Method::POST, "/raytracers", true, true);
        assert_eq!(raytrace, Ok(Route::Work(Kind::Raytrace)));
        assert_eq!(status(&Method::POST, "/blur", true), 404);
        assert_eq!(status(&Method::POST, "/x/blurimage", true), 404);
    }

    #[test]
    fn any_method_with_a_body_works() {
        for method in [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
            assert_eq!(status(&method, "/raytracer", true), 200, "{method}");
        }
        assert_eq!(status(&Method::POST, "/raytracer", false), 200);
        assert_eq!(status(&Method::GET, "/raytracer", false), 405);
    }

    #[test]
    fn options_of_anything_is_a_preflight() {
        for path in ["/", "/blurimage", "/nothing/here", "*"] {
            assert_eq!(route(&Method::OPTIONS, path, false, true), Ok(Route::Preflight), "{path}");
        }
    }

    #[test]
    fn the_small_pages_are_read_and_nothing_else() {
        for (path, expected) in
            [("/", Route::Root), ("/test", Route::Test), ("/health/", Route::Health)]
        {
            assert_eq!(route(&Method::GET, path, false, true), Ok(expected));
            assert_eq!(route(&Method::HEAD, path, false, true), Ok(expected));
            assert_eq!(status(&Method::POST, path, true), 405);
        }
        assert_eq!(status(&Method::GET, "/tests", false), 404);
        assert_eq!(status(&Method::GET, "/requests", false), 404);
        assert_eq!(route(&Method::GET, "/requests", false, false), Ok(Route::Requests));
    }
}
