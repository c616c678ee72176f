//! The server's log, as tests see it: warnings go to the output of the test that fails, and the line that each request
//! leaves is kept, since it has what no answer tells: how many SQL statements it took.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The fields of a line, by name.
pub type Line = HashMap<&'static str, String>;

/// The lines of requests, by request id.
static LINES: LazyLock<Mutex<HashMap<String, Line>>> = LazyLock::new(Mutex::default);

/// Starts the log, once a process.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let to_tests = tracing_subscriber::fmt::layer().with_test_writer().with_filter(LevelFilter::WARN);
        tracing_subscriber::registry().with(to_tests).with(Keeper.with_filter(LevelFilter::INFO)).init();
    });
}

/// The line that a request left.
pub fn line(request_id: &str) -> Line {
    LINES
        .lock()
        .unwrap()
        .get(request_id)
        .cloned()
        .expect("every request leaves a line in the log before it is answered")
}

struct Keeper;

impl<S: tracing::Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if fields.0.get("message").is_some_and(|message| message == "request")
            && let Some(id) = fields.0.get("request_id").cloned()
        {
            LINES.lock().unwrap().insert(id, fields.0);
        }
    }
}

#[derive(Default)]
struct Fields(Line);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
