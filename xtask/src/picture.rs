//! The picture in README.md: what `muster demo --exit` really printed, drawn as a terminal.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

/// Where the picture is.
const FILE: &str = "docs/images/demo.svg";
/// What comes before this line is set-up, which the guide shows; here its length is told.
const FIRST: &str = "▸ Settings";
/// Columns of the terminal.
const COLUMNS: usize = 118;
/// Width and height of a character cell, in tenths of a pixel, and the space around the text.
const CELL: (usize, usize) = (78, 180);
const MARGIN: usize = 16;

/// Plays the demo with a binary and draws what it printed.
pub(crate) fn draw(root: &Path, binary: &str) -> Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("muster-picture-{}", std::process::id()));
    let output = Command::new(root.join(binary))
        .args(["demo", "--exit", "--data"])
        .arg(&folder)
        .output()
        .with_context(|| format!("{binary} cannot be run; build it first"));
    let _ = std::fs::remove_dir_all(&folder);
    let output = output?;
    ensure!(output.status.success(), "the demo failed: {output:?}");
    let said = String::from_utf8(output.stdout)?;
    std::fs::write(root.join(FILE), svg(&shown(&said)?))?;
    println!("{FILE} is drawn anew; look at it before you commit it");
    Ok(ExitCode::SUCCESS)
}

/// The lines of the picture.
fn shown(said: &str) -> Result<Vec<String>> {
    let lines: Vec<&str> = said.trim_matches('\n').lines().collect();
    let first = lines
        .iter()
        .position(|line| *line == FIRST)
        .with_context(|| format!("the demo printed no line `{FIRST}`"))?;
    let mut shown = vec![
        "$ muster demo --exit".to_owned(),
        format!("… {first} lines: integration, directory, gallery, assignments, mappings"),
        String::new(),
    ];
    shown.extend(lines.into_iter().skip(first).map(str::to_owned));
    Ok(shown)
}

fn svg(lines: &[String]) -> String {
    let (width, height) = (
        COLUMNS * CELL.0 / 10 + 2 * MARGIN,
        lines.len() * CELL.1 / 10 + 2 * MARGIN,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"What muster demo prints\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#16181d\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"13\" xml:space=\"preserve\">\n"
    );
    for (number, line) in lines.iter().enumerate() {
        if line.is_empty() {
            continue;
        }
        let y = MARGIN + number * CELL.1 / 10 + 13;
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{y}\" fill=\"{}\">{}</text>",
            colour(line),
            escaped(line)
        );
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn colour(line: &str) -> &'static str {
    match line.chars().next() {
        Some('$') => "#ffffff",
        Some('▸') => "#7fd18b",
        Some('…') => "#868d9c",
        _ => "#d5d9e0",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_up_is_counted_and_the_rest_is_shown_as_it_was_printed() {
        let shown = shown("\n▸ Setup\n    A & B\n\n▸ Settings\n    On <now>\n").unwrap();
        assert!(shown[1].starts_with("… 3 lines"), "{shown:?}");
        assert_eq!(shown[3..], ["▸ Settings", "    On <now>"]);
        assert!(svg(&shown).contains("    On &lt;now&gt;</text>"));
    }
}
