//! The log: one line per event on stderr, as text or JSON, with its own time.
//!
//! ```text
//! 2026-02-03T04:05:06.789Z INFO connected transport=backdoor channel=toolbox
//! {"time":"2026-02-03T04:05:06.789Z","level":"info","message":"connected","transport":"backdoor"}
//! ```
//!
//! `Lines` is a layer over tracing's registry, which keeps the spans: fields of an event come first, then
//! those of the spans around it, from the outside in; a span's name is not printed. Libraries (h2, tonic,
//! rustls …) are logged at level trace only. Nothing that is logged can break a line: control characters
//! are escaped, whatever the host or Talos sends. Writing a line never blocks: see `sink`.
//!
//! We write it ourselves because the filters and formats of tracing-subscriber's `fmt` would cost more memory on
//! the node than all of this.

mod line;
#[cfg(test)]
pub(crate) mod logged;
mod sink;
mod time;

pub(crate) use time::rfc3339;

use std::error::Error;
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::config::{LogConfig, LogFormat};
use line::{Fields, Line};
use sink::Sink;

/// Events of this crate's modules (and of its binary) carry targets that start so.
const OWN_TARGET: &str = "talos_vmtoolsd";

/// Changes what is logged while the process runs.
#[derive(Clone, Debug)]
pub struct Handle(Arc<State>);

#[derive(Debug)]
struct State {
    /// Index into [`LEVELS`].
    level: AtomicUsize,
    json: AtomicBool,
}

/// From the least to the most detailed.
const LEVELS: [Level; 5] = [
    Level::ERROR,
    Level::WARN,
    Level::INFO,
    Level::DEBUG,
    Level::TRACE,
];

impl Handle {
    fn new(config: LogConfig) -> Self {
        let handle = Self(Arc::new(State {
            level: AtomicUsize::new(0),
            json: AtomicBool::new(false),
        }));
        handle.store(config);
        handle
    }

    /// Logs as `config` says from the next event on.
    pub fn set(&self, config: LogConfig) {
        self.store(config);
        tracing::callsite::rebuild_interest_cache();
    }

    fn store(&self, config: LogConfig) {
        let index = LEVELS.iter().position(|&level| level == config.level);
        self.0
            .level
            .store(index.unwrap_or(LEVELS.len()), Ordering::Relaxed);
        self.0
            .json
            .store(config.format == LogFormat::Json, Ordering::Relaxed);
    }

    fn level(&self) -> Level {
        LEVELS
            .get(self.0.level.load(Ordering::Relaxed))
            .copied()
            .unwrap_or(Level::TRACE)
    }

    fn is_json(&self) -> bool {
        self.0.json.load(Ordering::Relaxed)
    }
}

/// Sends all events of the process to stderr. Only the first call of a process takes effect; the handle of
/// a later call changes nothing.
pub fn init(config: LogConfig) -> Handle {
    let handle = Handle::new(config);
    let sink = Mutex::new(Sink::new(std::io::stderr()));
    let lines = Lines {
        handle: handle.clone(),
        colour: std::io::stderr().is_terminal(),
        clock: wall_clock,
        write: move |line: &str, notice: &dyn Fn(u64) -> String| {
            let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
            sink.write(line, notice);
        },
    };
    drop(tracing::subscriber::set_global_default(
        Registry::default().with(lines),
    ));
    // Reporting a panic must not block either: the process has to end and be started again.
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        let place = panic.location().map(ToString::to_string);
        tracing::error!(text, place, "panicked; report this line");
    }));
    handle
}

#[allow(
    clippy::disallowed_methods,
    reason = "a reader of the log wants the wall clock; nothing is decided by it"
)]
fn wall_clock() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The layer that writes; clock and destination are given, so that tests can.
struct Lines<C, W> {
    handle: Handle,
    colour: bool,
    clock: C,
    write: W,
}

impl<C, W, S> Layer<S> for Lines<C, W>
where
    C: Fn() -> Duration + 'static,
    W: Fn(&str, &dyn Fn(u64) -> String) + 'static,
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let level = self.handle.level();
        *metadata.level() <= level
            && (level == Level::TRACE || metadata.target().starts_with(OWN_TARGET))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.handle.level()))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(around) = span.extensions().get::<Fields>() {
                fields.extend(around);
            }
        }
        let time = (self.clock)();
        let level = *event.metadata().level();
        (self.write)(&self.written(time, level, &fields), &|dropped| {
            self.written(time, Level::WARN, &Fields::dropped(dropped))
        });
    }
}

impl<C, W> Lines<C, W> {
    /// The line in the form that is asked for now.
    fn written(&self, time: Duration, level: Level, fields: &Fields) -> String {
        let line = Line {
            time,
            level,
            fields,
        };
        if self.handle.is_json() {
            line.json()
        } else {
            line.text(self.colour)
        }
    }
}

/// An error with all its causes, on one line: `cannot connect: connection refused`.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tracing::{debug, error, error_span, info, info_span, trace, warn};

    /// Runs `events` under a log of the given kind and returns what it writes.
    fn logged(level: Level, format: LogFormat, events: impl FnOnce(&Handle)) -> String {
        let written = Arc::new(Mutex::new(String::new()));
        let handle = Handle::new(LogConfig { level, format });
        let sink = Arc::clone(&written);
        let lines = Lines {
            handle: handle.clone(),
            colour: false,
            clock: || Duration::from_millis(1_770_091_506_789),
            write: move |line: &str, _: &dyn Fn(u64) -> String| sink.lock().unwrap().push_str(line),
        };
        tracing::subscriber::with_default(Registry::default().with(lines), || events(&handle));
        std::mem::take(&mut *written.lock().unwrap())
    }

    #[test]
    fn text_is_time_level_message_fields() {
        let text = logged(Level::INFO, LogFormat::Text, |_| {
            info!(transport = "vsock", port = 976, up = true, "connected");
        });
        assert_eq!(
            text,
            "2026-02-03T04:05:06.789Z INFO  connected transport=vsock port=976 up=true\n"
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(Level::INFO, LogFormat::Json, |_| {
            warn!(name = "a \"b\"\n", attempt = 3_u64, ratio = 0.5, "lost");
        });
        assert_eq!(
            text,
            "{\"time\":\"2026-02-03T04:05:06.789Z\",\"level\":\"warn\",\"message\":\"lost\",\
             \"name\":\"a \\\"b\\\"\\n\",\"attempt\":3,\"ratio\":0.5}\n"
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["name"], "a \"b\"\n");
    }

    #[test]
    fn what_is_more_detailed_than_the_level_is_left_out() {
        let text = logged(Level::WARN, LogFormat::Text, |_| {
            error!("one");
            warn!("two");
            info!("three");
            debug!("four");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn libraries_are_heard_at_trace_only() {
        let events = |_: &Handle| {
            error!(target: "h2::codec", "frame");
            trace!(target: "talos_vmtoolsd::vmware::rpc", "poll");
        };
        assert_eq!(logged(Level::DEBUG, LogFormat::Text, events), "");
        assert_eq!(
            logged(Level::TRACE, LogFormat::Text, events)
                .lines()
                .count(),
            2
        );
    }

    #[test]
    fn spans_lend_their_fields() {
        let text = logged(Level::INFO, LogFormat::Text, |_| {
            let _channel = error_span!("channel", channel = "toolbox").entered();
            let power = info_span!(
                "power",
                command = "OS_Halt",
                attempt = tracing::field::Empty
            );
            power.record("attempt", 2);
            let _power = power.entered();
            info!(status = 1, "accepted");
        });
        assert!(
            text.ends_with("accepted status=1 channel=toolbox command=OS_Halt attempt=2\n"),
            "{text}"
        );
    }

    #[test]
    fn nothing_breaks_a_line() {
        let text = logged(Level::INFO, LogFormat::Text, |_| {
            info!(
                host = "a\nb\x1b[31m",
                empty = "",
                said = "say \"x\"",
                "odd {}",
                "\r\n"
            );
        });
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.contains('\x1b'), "{text:?}");
        assert!(text.contains("host=\"a\\nb\\u{1b}[31m\""), "{text:?}");
        assert!(text.contains("empty=\"\""), "{text:?}");
        assert!(text.contains("said=\"say \\\"x\\\"\""), "{text:?}");
    }

    #[test]
    fn errors_come_with_their_causes() {
        let error = crate::config::Error::FileUnreadable {
            path: "/x".into(),
            source: std::io::Error::other("disk on fire"),
        };
        let text = logged(Level::INFO, LogFormat::Text, |_| {
            error!(error = &error as &(dyn Error + 'static), "cannot start");
        });
        assert!(text.contains("/x"), "{text}");
        assert!(text.contains(": disk on fire\""), "{text}");
    }

    #[test]
    fn the_level_can_change() {
        let text = logged(Level::WARN, LogFormat::Text, |handle| {
            info!("before");
            handle.set(LogConfig {
                level: Level::INFO,
                format: LogFormat::Json,
            });
            info!("after");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("\"message\":\"after\""), "{text}");
    }
}
