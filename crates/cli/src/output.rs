//! What a command says: frames, printed here or in the process that asked.

use std::borrow::Cow;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use crate::exit::Exit;

/// A piece of what a command says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// A line of the result, for standard output.
    Line(String),
    /// A remark for people, for standard error.
    Note(String),
    /// A line about something that is to change.
    Change(Sign, String),
    /// A line for the file that the command writes.
    File(String),
    /// How far it has come.
    Progress {
        label: String,
        done: u64,
        total: u64,
    },
    /// The bar goes away.
    ProgressEnd,
    /// The last frame.
    End(Exit),
}

/// What becomes of something: its sign before the line, and its colour on a terminal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Sign {
    Adds,
    Changes,
    Removes,
    Fails,
    Skips,
}

impl Sign {
    const fn text(self) -> &'static str {
        match self {
            Self::Adds => "+",
            Self::Changes => "~",
            Self::Removes => "-",
            Self::Fails => "!",
            Self::Skips => ".",
        }
    }

    const fn colour(self) -> AnsiColor {
        match self {
            Self::Adds => AnsiColor::Green,
            Self::Changes => AnsiColor::Yellow,
            Self::Removes => AnsiColor::Red,
            Self::Fails => AnsiColor::Magenta,
            Self::Skips => AnsiColor::BrightBlack,
        }
    }
}

/// Where a command says things.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    frames: mpsc::Sender<Frame>,
    /// Results as JSON?
    pub(crate) json: bool,
}

impl Out {
    /// An output and the frames that come out of it.
    pub(crate) fn new(json: bool) -> (Self, mpsc::Receiver<Frame>) {
        let (frames, receiver) = mpsc::channel(256);
        (Self { frames, json }, receiver)
    }

    /// A result: as JSON, or in words.
    pub(crate) async fn tell(&self, shown: &serde_json::Value, text: impl Into<String>) {
        if self.json {
            self.line(shown.to_string()).await;
        } else {
            self.line(text).await;
        }
    }

    pub(crate) async fn line(&self, text: impl Into<String>) {
        let _ = self.frames.send(Frame::Line(text.into())).await;
    }

    /// A line for people; with `--json` it goes to standard error.
    pub(crate) async fn say(&self, text: impl Into<String>) {
        let text = text.into();
        let frame = if self.json {
            Frame::Note(text)
        } else {
            Frame::Line(text)
        };
        let _ = self.frames.send(frame).await;
    }

    pub(crate) async fn note(&self, text: impl Into<String>) {
        let _ = self.frames.send(Frame::Note(text.into())).await;
    }

    /// A line about something that is to change.
    pub(crate) async fn change(&self, sign: Sign, text: impl Into<String>) {
        let _ = self.frames.send(Frame::Change(sign, text.into())).await;
    }

    /// A line for the file that the command writes.
    pub(crate) async fn file(&self, text: impl Into<String>) {
        let _ = self.frames.send(Frame::File(text.into())).await;
    }

    /// Moves the progress bar; left out when nobody keeps up with reading.
    pub(crate) fn progress(&self, label: &str, done: u64, total: u64) {
        let _ = self.frames.try_send(Frame::Progress {
            label: label.to_owned(),
            done,
            total,
        });
    }

    /// Has whoever asked gone away?
    pub(crate) fn is_closed(&self) -> bool {
        self.frames.is_closed()
    }

    pub(crate) async fn progress_end(&self) {
        let _ = self.frames.send(Frame::ProgressEnd).await;
    }

    pub(crate) async fn end(self, exit: Exit) {
        let _ = self.frames.send(Frame::End(exit)).await;
    }
}

/// Prints frames as they come; answers how the command ended.
pub(crate) struct Printer {
    bar: Option<ProgressBar>,
    label: String,
    file: Option<Target>,
    /// Why the file cannot be written.
    failed: Option<String>,
}

/// The file that a command writes. It has its name only when the command has done well.
struct Target {
    path: PathBuf,
    written: BufWriter<NamedTempFile>,
}

impl Target {
    fn open(path: &Path) -> Result<Self> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let written = NamedTempFile::new_in(folder.unwrap_or_else(|| Path::new(".")))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            written: BufWriter::new(written),
        })
    }

    /// Gives the file its name.
    fn keep(self) -> Result<(), String> {
        let cannot =
            |error: &std::io::Error| format!("cannot write {}: {error}", self.path.display());
        let file = self.written.into_inner().map_err(|it| cannot(it.error()))?;
        file.persist(&self.path).map_err(|it| cannot(&it.error))?;
        Ok(())
    }

    fn cannot(&self, error: &std::io::Error) -> String {
        format!("cannot write {}: {error}", self.path.display())
    }
}

impl Printer {
    /// A printer.
    pub(crate) const fn new() -> Self {
        Self {
            bar: None,
            label: String::new(),
            file: None,
            failed: None,
        }
    }

    /// A printer that also writes the file of a command, if it has one.
    pub(crate) fn writing(file: Option<&Path>) -> Result<Self> {
        Ok(Self {
            file: file.map(Target::open).transpose()?,
            ..Self::new()
        })
    }

    /// Prints a frame; the last one answers.
    pub(crate) fn print(&mut self, frame: Frame) -> Option<Exit> {
        match frame {
            Frame::Line(text) => self.write(&text, false),
            Frame::Note(text) => self.write(&text, true),
            Frame::Change(sign, text) => self.change(sign, &text),
            Frame::File(text) => {
                if let Some(file) = &mut self.file
                    && let Err(error) = writeln!(file.written, "{text}")
                {
                    self.failed = Some(file.cannot(&error));
                    self.file = None;
                }
            }
            Frame::Progress { label, done, total } => self.show(label, done, total),
            Frame::ProgressEnd => self.clear(),
            Frame::End(exit) => {
                self.clear();
                if let Some(file) = self.file.take()
                    && exit == Exit::Done
                {
                    self.failed = file.keep().err();
                }
                if let Some(why) = self.failed.take() {
                    complain(&why);
                    return Some(Exit::Failed);
                }
                return Some(exit);
            }
        }
        None
    }

    /// What changes has a sign, and a colour on a terminal that wants colours.
    fn change(&self, sign: Sign, text: &str) {
        let line = format!("{} {text}", sign.text());
        let stdout = std::io::stdout();
        if !stdout.is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty()) {
            return self.write(&line, false);
        }
        let style = Style::new().fg_color(Some(sign.colour().into()));
        let write = || {
            // A reader that went away is no error.
            let _ = writeln!(stdout.lock(), "{style}{}{style:#}", printable(&line));
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// A reader that went away (`muster log list | head`) is no error.
    fn write(&self, text: &str, to_stderr: bool) {
        let is_terminal = if to_stderr {
            std::io::stderr().is_terminal()
        } else {
            std::io::stdout().is_terminal()
        };
        let text = if is_terminal {
            printable(text)
        } else {
            Cow::Borrowed(text)
        };
        let write = || {
            let _ = if to_stderr {
                writeln!(std::io::stderr().lock(), "{text}")
            } else {
                writeln!(std::io::stdout().lock(), "{text}")
            };
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn show(&mut self, label: String, done: u64, total: u64) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        if self.bar.is_none() || self.label != label {
            self.clear();
            let style = if total > 0 {
                "{prefix:>24} {bar:30} {human_pos}/{human_len} · {per_sec} · {eta} left"
            } else {
                "{prefix:>24} {spinner} {human_pos} · {per_sec}"
            };
            let style = ProgressStyle::with_template(style)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━╸─");
            let bar = ProgressBar::new(total.max(1))
                .with_style(style)
                .with_prefix(label.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
            (self.bar, self.label) = (Some(bar), label);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total.max(done).max(1));
            bar.set_position(done);
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Names of the directory may hold anything; none of it may steer the terminal.
fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_steering) {
        Cow::Owned(text.replace(is_steering, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn is_steering(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

/// One line on standard error that says what to do.
pub(crate) fn complain(text: &str) {
    let one_line = printable(&text.replace(['\n', '\r'], " ")).into_owned();
    let _ = writeln!(std::io::stderr().lock(), "muster: {one_line}");
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn names_do_not_steer_the_terminal() {
        assert_eq!(printable("Zoë\t1\n2"), "Zoë\t1\n2");
        assert_eq!(
            printable("a\u{1b}[31mb\u{7}\u{9b}"),
            "a\u{fffd}[31mb\u{fffd}\u{fffd}"
        );
    }
}
