//! Settings of what a server shows, to whom, and under which address: strict in production, open on a developer's machine.

use std::net::{IpAddr, SocketAddr};

use super::{Environment, Problems};

/// The port of metrics in production, unless another is set: the one that Prometheus exporters usually have.
const METRICS_PORT: u16 = 9464;

/// What the server shows, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExposureConfig {
    /// `PUBLIC_URL`: the origin under which clients reach the server, without a slash at its end; `None` in development alone,
    /// where it is what each request says.
    pub public_url: Option<String>,
    /// `GRAPHIQL`: whether `/graphiql` is served.
    pub has_graphiql: bool,
    /// `INTROSPECTION`: who may ask for the schema.
    pub introspection: Introspection,
    /// `METRICS_HOST`, `METRICS_PORT`: where metrics are served.
    pub metrics: MetricsPlace,
}

/// Who may ask for the schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Introspection {
    /// Everybody, each what they may use of it.
    Public,
    /// Members of staff and services.
    Staff,
    /// Nobody.
    Off,
}

/// Where metrics are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricsPlace {
    /// At `/metrics`, beside everything else.
    Beside,
    /// At an address of their own.
    Own(SocketAddr),
    /// Nowhere.
    Off,
}

/// Which pages of other origins may send requests from a browser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CorsOrigins {
    /// Any: the buyer's side is public and uses no cookies.
    Any,
    /// These.
    List(Vec<String>),
}

impl ExposureConfig {
    /// Whether clients reach the server by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// Reads them.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    environment: Environment,
) -> ExposureConfig {
    let is_production = environment == Environment::Production;
    let public_url = problems.parse("PUBLIC_URL", get("PUBLIC_URL"), None, |text| origin(text).map(Some));
    if is_production && get("PUBLIC_URL").is_none() {
        problems.add(
            "PUBLIC_URL",
            "must be set in production, to the address under which clients reach this server, such as https://api.shop.example",
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
    let host = problems.parse("METRICS_HOST", get("METRICS_HOST"), IpAddr::from([127, 0, 0, 1]), |text| {
        text.parse().map_err(|_| "must be an IP address such as 127.0.0.1 or 0.0.0.0".to_owned())
    });
    let default = if is_production {
        MetricsPlace::Own(SocketAddr::new(host, METRICS_PORT))
    } else {
        MetricsPlace::Beside
    };
    let metrics = problems.parse("METRICS_PORT", get("METRICS_PORT"), default, |text| match text {
        "off" => Ok(MetricsPlace::Off),
        port => port
            .parse()
            .map(|port| MetricsPlace::Own(SocketAddr::new(host, port)))
            .map_err(|_| "must be off or a number from 0 to 65535".to_owned()),
    });
    ExposureConfig { public_url, has_graphiql, introspection, metrics }
}

/// Which pages may send requests from a browser: those of the server itself always, others where they are named. A developer's
/// server takes them from anywhere unless some are named.
pub(super) fn cors(
    value: Option<String>,
    problems: &mut Problems,
    environment: Environment,
    public_url: Option<&String>,
) -> CorsOrigins {
    let default = match environment {
        Environment::Development => CorsOrigins::Any,
        Environment::Production => CorsOrigins::List(Vec::new()),
    };
    match problems.parse("CORS_ORIGINS", value, default, cors_origins) {
        CorsOrigins::Any => CorsOrigins::Any,
        CorsOrigins::List(mut list) => {
            list.extend(public_url.cloned());
            CorsOrigins::List(list)
        }
    }
}

fn cors_origins(text: &str) -> Result<CorsOrigins, String> {
    if text == "*" {
        return Ok(CorsOrigins::Any);
    }
    let origins: Vec<String> =
        text.split(',').map(|origin| origin.trim().trim_end_matches('/').to_owned()).collect();
    let is_origin = |origin: &String| {
        origin.split_once("://").is_some_and(|(scheme, host)| {
            matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('/')
        })
    };
    match origins.iter().find(|origin| !is_origin(origin)) {
        None => Ok(CorsOrigins::List(origins)),
        Some(bad) => {
            Err(format!("has `{bad}`: write * or origins such as https://shop.example, separated by commas"))
        }
    }
}

/// An origin: a scheme, a host and perhaps a port, and nothing after it but a slash.
fn origin(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').unwrap_or(text).to_lowercase();
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_host = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
    };
    if authority.is_some_and(is_host) {
        Ok(text)
    } else {
        Err("must be an address without a path, such as https://api.shop.example".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(
        environment: Environment,
        settings: &[(&str, &str)],
    ) -> Result<(ExposureConfig, CorsOrigins), Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems, environment);
        let cors = cors(get("CORS_ORIGINS"), &mut problems, environment, config.public_url.as_ref());
        if problems.0.is_empty() { Ok((config, cors)) } else { Err(problems.0) }
    }

    #[test]
    fn a_developer_sees_everything() {
        let (config, cors) = config(Environment::Development, &[]).unwrap();
        let expected = ExposureConfig {
            public_url: None,
            has_graphiql: true,
            introspection: Introspection::Public,
            metrics: MetricsPlace::Beside,
        };
        assert_eq!((config, cors), (expected, CorsOrigins::Any));
    }

    #[test]
    fn production_shows_little() {
        let url = ("PUBLIC_URL", "https://API.shop.example/");
        let (strict, cors) = config(Environment::Production, &[url]).unwrap();
        let expected = ExposureConfig {
            public_url: Some("https://api.shop.example".to_owned()),
            has_graphiql: false,
            introspection: Introspection::Staff,
            metrics: MetricsPlace::Own(SocketAddr::from(([127, 0, 0, 1], METRICS_PORT))),
        };
        assert_eq!(strict, expected);
        assert!(strict.is_secure());
        assert_eq!(cors, CorsOrigins::List(vec!["https://api.shop.example".to_owned()]));

        let wide = [
            ("PUBLIC_URL", "http://shop:8000"),
            ("GRAPHIQL", "on"),
            ("INTROSPECTION", "off"),
            ("METRICS_HOST", "0.0.0.0"),
            ("METRICS_PORT", "9000"),
            ("CORS_ORIGINS", "https://shop.example"),
        ];
        let (wide, cors) = config(Environment::Production, &wide).unwrap();
        assert!(wide.has_graphiql && !wide.is_secure());
        assert_eq!(wide.introspection, Introspection::Off);
        assert_eq!(wide.metrics, MetricsPlace::Own(SocketAddr::from(([0, 0, 0, 0], 9000))));
        let origins = ["https://shop.example".to_owned(), "http://shop:8000".to_owned()];
        assert_eq!(cors, CorsOrigins::List(origins.to_vec()));
        let (off, _) = config(Environment::Production, &[url, ("METRICS_PORT", "off")]).unwrap();
        assert_eq!(off.metrics, MetricsPlace::Off);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problems = config(Environment::Production, &[]).unwrap_err();
        assert!(problems[0].starts_with("PUBLIC_URL must be set in production"), "{problems:?}");
        for (name, value) in [
            ("PUBLIC_URL", "shop.example"),
            ("PUBLIC_URL", "https://shop.example/api"),
            ("PUBLIC_URL", "https://me@shop.example"),
            ("PUBLIC_URL", "https://"),
            ("GRAPHIQL", "yes"),
            ("INTROSPECTION", "everybody"),
            ("METRICS_HOST", "localhost"),
            ("METRICS_PORT", "70000"),
        ] {
            let problems = config(Environment::Development, &[(name, value)]).unwrap_err();
            assert!(problems[0].starts_with(name), "{problems:?}");
        }
    }
}
