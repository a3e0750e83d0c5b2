//! For tests: everything that is logged, at all levels and of all targets.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Collects what is logged in this thread until it is dropped.
pub(crate) struct Logged {
    log: Log,
    _guard: tracing::subscriber::DefaultGuard,
}

/// Has tracing take every line for wanted, whatever other tests do. While there is one subscriber, tracing asks that of the
/// thread which comes to a line first, or which has the level changed; where that thread has none, the line would be
/// switched off for the thread that listens as well.
fn keep_lines_alive() {
    static LISTENERS: OnceLock<[Dispatch; 2]> = OnceLock::new();
    LISTENERS.get_or_init(|| [(); 2].map(|()| Dispatch::new(Log::default())));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Logged {
    pub(crate) fn new() -> Self {
        keep_lines_alive();
        let log = Log::default();
        let guard = tracing::subscriber::set_default(log.clone());
        Self { log, _guard: guard }
    }

    /// All lines since the last call: level, then fields.
    pub(crate) fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut *self.log.0.lock().unwrap())
    }

    /// The warnings since the last call.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let lines = self.take().into_iter();
        let lines = lines.filter(|(level, _)| *level <= Level::WARN);
        lines.map(|(_, line)| line).collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut line = Line(String::new());
        attributes.record(&mut line);
        self.0.lock().unwrap().push((Level::TRACE, line.0));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let level = *event.metadata().level();
        self.0.lock().unwrap().push((level, line.0));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
