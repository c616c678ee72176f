//! Settings for what the server exposes, to whom, and at which URL: strict in production, open in
//! development.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;

use super::{Environment, Problems};

/// One year, in seconds.
const MAX_CDN_AGE: u32 = 31_536_000;
/// Default port of metrics in production, as is common for Prometheus exporters.
const DEFAULT_METRICS_PORT: u16 = 9464;

/// What the server exposes, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExposureConfig {
    /// `PUBLIC_URL`: the origin at which clients reach the server, without a trailing slash; `None`
    /// only in development, where it is taken from each request.
    pub public_url: Option<String>,
    /// `CORS_ORIGINS`: origins that may call the server from a browser.
    pub cors: CorsOrigins,
    /// `GRAPHIQL`: whether `/graphiql` is served.
    pub has_graphiql: bool,
    /// `INTROSPECTION`: who may query the schema.
    pub introspection: Introspection,
    /// `FEDERATION`: whether the server is a subgraph of a federated graph.
    pub has_federation: bool,
    /// `METRICS_HOST`, `METRICS_PORT`: where metrics are served.
    pub metrics: MetricsEndpoint,
    /// `CDN_MAX_AGE`: for how many seconds a CDN may use a response without asking.
    pub cdn_max_age: u32,
}

/// Who may query the schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Introspection {
    /// Everybody, limited to what they may use.
    Public,
    /// Staff members and services.
    Staff,
    /// Nobody.
    Off,
}

/// Where metrics are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricsEndpoint {
    /// At `/metrics` of the main server.
    Shared,
    /// At a separate address.
    Separate(SocketAddr),
    /// Nowhere.
    Off,
}

/// Origins that may call the server from a browser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CorsOrigins {
    /// Any origin: the storefront API is public and uses no cookies.
    Any,
    /// These origins.
    List(Vec<String>),
}

impl ExposureConfig {
    /// Whether clients reach the server over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// Reads the settings.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> ExposureConfig {
    let is_production = environment == Environment::Production;
    let public_url = problems.parse("PUBLIC_URL", get("PUBLIC_URL"), None, |text| {
        let problem = || "must be an address without a path, such as https://api.shop.example".to_owned();
        parse_origin(text).map(Some).ok_or_else(problem)
    });
    if is_production && get("PUBLIC_URL").is_none() {
        problems.add(
            "PUBLIC_URL",
            "must be set in production, to the URL at which clients reach this server, such as https://api.shop.example",
        );
    }
    let has_graphiql = problems.parse("GRAPHIQL", get("GRAPHIQL"), !is_production, |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    });
    let default = if is_production { Introspection::Staff } else { Introspection::Public };
    let introspection = problems.parse("INTROSPECTION", get("INTROSPECTION"), default, |text| match text {
        "public" => Ok(Introspection::Public),
        "staff" => Ok(Introspection::Staff),
        "off" => Ok(Introspection::Off),
        _ => Err("must be public, staff or off".to_owned()),
    });
    let has_federation = problems.parse("FEDERATION", get("FEDERATION"), false, |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    });
    let host = problems.parse("METRICS_HOST", get("METRICS_HOST"), IpAddr::from([127, 0, 0, 1]), |text| {
        text.parse().map_err(|_error| "must be an IP address such as 127.0.0.1 or 0.0.0.0".to_owned())
    });
    let default = if is_production {
        MetricsEndpoint::Separate(SocketAddr::new(host, DEFAULT_METRICS_PORT))
    } else {
        MetricsEndpoint::Shared
    };
    let metrics = problems.parse("METRICS_PORT", get("METRICS_PORT"), default, |text| match text {
        "off" => Ok(MetricsEndpoint::Off),
        port => port
            .parse()
            .map(|port| MetricsEndpoint::Separate(SocketAddr::new(host, port)))
            .map_err(|_error| "must be off or a number from 0 to 65535".to_owned()),
    });
    let cdn_max_age = problems.parse("CDN_MAX_AGE", get("CDN_MAX_AGE"), 0, |text| {
        let seconds = text.parse().ok().filter(|seconds| *seconds <= MAX_CDN_AGE);
        seconds.ok_or_else(|| format!("must be a number of seconds up to {MAX_CDN_AGE}"))
    });
    let cors = read_cors(get("CORS_ORIGINS"), problems, environment, public_url.as_ref());
    ExposureConfig { public_url, cors, has_graphiql, introspection, has_federation, metrics, cdn_max_age }
}

/// Reads `CORS_ORIGINS`. The server's own origin is always allowed, others when they are listed; in
/// development any origin by default.
fn read_cors(
    value: Option<String>,
    problems: &mut Problems,
    environment: Environment,
    public_url: Option<&String>,
) -> CorsOrigins {
    let default = match environment {
        Environment::Development => CorsOrigins::Any,
        Environment::Production => CorsOrigins::List(Vec::new()),
    };
    match problems.parse("CORS_ORIGINS", value, default, parse_cors_origins) {
        CorsOrigins::Any => CorsOrigins::Any,
        CorsOrigins::List(mut list) => {
            list.extend(public_url.cloned());
            CorsOrigins::List(list)
        }
    }
}

fn parse_cors_origins(text: &str) -> Result<CorsOrigins, String> {
    if text == "*" {
        return Ok(CorsOrigins::Any);
    }
    let origins = text.split(',').map(|text| {
        let text = text.trim();
        parse_origin(text).ok_or_else(|| {
            format!("has `{text}`: write * or origins such as https://shop.example, separated by commas")
        })
    });
    origins.collect::<Result<_, _>>().map(CorsOrigins::List)
}

/// Parses an origin: scheme, host and optional port, with at most a trailing slash. Returns it as
/// browsers write it, which is how origins are compared.
fn parse_origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let origin = url.origin().ascii_serialization();
    // Anything else, such as a user or a path, is in the URL but not in its origin.
    let is_origin = matches!(url.scheme(), "http" | "https") && url.as_str() == format!("{origin}/");
    is_origin.then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(environment: Environment, settings: &[(&str, &str)]) -> Result<ExposureConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems, environment);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    #[test]
    fn development_exposes_everything() {
        let expected = ExposureConfig {
            public_url: None,
            cors: CorsOrigins::Any,
            has_graphiql: true,
            introspection: Introspection::Public,
            has_federation: false,
            metrics: MetricsEndpoint::Shared,
            cdn_max_age: 0,
        };
        assert_eq!(config(Environment::Development, &[]), Ok(expected));
    }

    #[test]
    fn production_exposes_little_by_default() {
        let url = ("PUBLIC_URL", "https://API.shop.example/");
        let strict = config(Environment::Production, &[url]).unwrap();
        let expected = ExposureConfig {
            public_url: Some("https://api.shop.example".to_owned()),
            cors: CorsOrigins::List(vec!["https://api.shop.example".to_owned()]),
            has_graphiql: false,
            introspection: Introspection::Staff,
            has_federation: false,
            metrics: MetricsEndpoint::Separate(SocketAddr::from(([127, 0, 0, 1], DEFAULT_METRICS_PORT))),
            cdn_max_age: 0,
        };
        assert_eq!(strict, expected);
        assert!(strict.is_secure());

        let wide = [
            ("PUBLIC_URL", "http://shop:8000"),
            ("GRAPHIQL", "on"),
            ("INTROSPECTION", "off"),
            ("FEDERATION", "on"),
            ("METRICS_HOST", "0.0.0.0"),
            ("METRICS_PORT", "9000"),
            ("CORS_ORIGINS", "https://shop.example"),
        ];
        let wide = config(Environment::Production, &wide).unwrap();
        assert!(wide.has_graphiql && wide.has_federation && !wide.is_secure());
        assert_eq!(wide.introspection, Introspection::Off);
        assert_eq!(wide.metrics, MetricsEndpoint::Separate(SocketAddr::from(([0, 0, 0, 0], 9000))));
        let origins = ["https://shop.example".to_owned(), "http://shop:8000".to_owned()];
        assert_eq!(wide.cors, CorsOrigins::List(origins.to_vec()));
        let off = config(Environment::Production, &[url, ("METRICS_PORT", "off")]).unwrap();
        assert_eq!(off.metrics, MetricsEndpoint::Off);
    }

    #[test]
    fn invalid_settings_are_named() {
        let problems = config(Environment::Production, &[]).unwrap_err();
        assert!(problems[0].starts_with("PUBLIC_URL must be set in production"), "{problems:?}");
        for (name, value) in [
            ("PUBLIC_URL", "shop.example"),
            ("PUBLIC_URL", "https://shop.example/api"),
            ("PUBLIC_URL", "https://me@shop.example"),
            ("PUBLIC_URL", "https://"),
            ("PUBLIC_URL", "https://shop.example:99999"),
            ("PUBLIC_URL", "https://shop.example?page=1"),
            ("PUBLIC_URL", "ftp://shop.example"),
            ("CORS_ORIGINS", "shop.example"),
            ("CORS_ORIGINS", "https://shop.example/cart"),
            ("CORS_ORIGINS", "https://me@shop.example"),
            ("CORS_ORIGINS", "https://shop.example:99999"),
            ("CORS_ORIGINS", "https://shop.example,,https://other.example"),
            ("CORS_ORIGINS", "https://shop.example,null"),
            ("GRAPHIQL", "yes"),
            ("INTROSPECTION", "everybody"),
            ("METRICS_HOST", "localhost"),
            ("METRICS_PORT", "70000"),
        ] {
            let problems = config(Environment::Development, &[(name, value)]).unwrap_err();
            assert!(problems[0].starts_with(name), "{problems:?}");
        }
    }

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        let written = "https://Shop.example, https://other.example:443/, http://[::1]:80, http://shop:8000, \
            https://bücher.example";
        let settings = [("CORS_ORIGINS", written), ("PUBLIC_URL", "https://API.shop.example:443")];
        let origins = [
            "https://shop.example",
            "https://other.example",
            "http://[::1]",
            "http://shop:8000",
            "https://xn--bcher-kva.example",
            "https://api.shop.example",
        ];
        let config = config(Environment::Production, &settings).unwrap();
        assert_eq!(config.cors, CorsOrigins::List(origins.map(str::to_owned).to_vec()));
        assert_eq!(config.public_url.as_deref(), Some("https://api.shop.example"));
    }
}
