//! The picture in the README: what the hosts show, as an SVG of three cards.
//!
//! It brings its own colours, for a light page and for a dark one (`prefers-color-scheme`), and its cards are opaque:
//! where only one of the two is known it can still be read. Text stays text. Columns are counted in characters of
//! 0.6 em, which no usual monospaced font exceeds by more than a hundredth.

use std::fmt::Write as _;

/// Label and value. A row that belongs to the one before has no label.
pub(crate) type Row<'a> = (&'a str, String);

/// Of 10 characters, in pixels at 12 pixels of size.
const TEN_CHARACTERS: usize = 72;
const LINE: usize = 18;
/// Between the edge of a card and its text.
const PADDING: usize = 16;
/// From the top of a card to the line above its first row.
const HEAD: usize = 34;
/// Between cards.
const GAP: usize = 12;
/// Between the groups of rows of a card.
const GROUP: usize = 8;

/// Where the groups of vCenter's rows begin.
const GROUPS: [&str; 6] = [
    "DNS name",
    "Guest OS",
    "Network",
    "Disk",
    "Memory",
    "Power operations",
];

const STYLE: &str = r#"
text { font: 12px ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; fill: #1f2328; white-space: pre }
.card { fill: #f6f8fa; stroke: #d1d9e0 }
.title { font-weight: bold }
.label { fill: #59636e }
.good { fill: #1a7f37; font-weight: bold }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.card { fill: #151b23; stroke: #3d444d }
.label { fill: #9198a1 }
.good { fill: #3fb950 }
}
"#;

/// What one of the hosts shows.
struct Card<'a> {
    title: &'a str,
    /// Beside the title.
    note: &'a str,
    rows: &'a [Row<'a>],
    /// Labels with room above the first row that has it.
    groups: &'a [&'a str],
    /// Characters that a label has room for, and a value.
    columns: (usize, usize),
}

/// The picture: vCenter on the left, on the right the guest variables (below `prefix`) and Proxmox VE.
pub(crate) fn svg(
    vcenter: &[Row<'_>],
    prefix: &str,
    variables: &[Row<'_>],
    proxmox: &[Row<'_>],
) -> String {
    let left = Card {
        title: "vCenter",
        note: "",
        rows: vcenter,
        groups: &GROUPS,
        columns: (18, 47),
    };
    let above = Card {
        title: "Variables",
        note: prefix,
        rows: variables,
        groups: &[],
        columns: (17, 27),
    };
    let below = Card {
        title: "Proxmox VE",
        note: "",
        rows: proxmox,
        groups: &[],
        columns: (14, 30),
    };
    let x = left.width() + GAP;
    let y = above.height() + GAP;
    let height = left.height().max(y + below.height());
    let mut svg = String::new();
    // Half a pixel around, so that the outline is sharp and not cut off.
    let (full_width, full_height) = (x + above.width() + 1, height + 1);
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{full_width}" height="{full_height}" viewBox="-0.5 -0.5 {full_width} {full_height}" role="img" aria-labelledby="title desc" xml:space="preserve">
<title id="title">A Talos node in vCenter and in Proxmox VE</title>
<desc id="desc">What the hosts show of a node with talos-vmtoolsd at the end of the demo. Drawn by make picture.</desc>
<style>{STYLE}</style>
"#
    );
    left.draw(&mut svg, (0, 0), height);
    above.draw(&mut svg, (x, 0), above.height());
    below.draw(&mut svg, (x, y), height - y);
    svg + "</svg>\n"
}

impl Card<'_> {
    fn width(&self) -> usize {
        2 * PADDING + pixels(self.columns.0 + self.columns.1)
    }

    fn height(&self) -> usize {
        let rows = self.rows.iter().enumerate();
        let rows = rows
            .map(|(row, (label, value))| self.above(row, label) + LINE * self.lines(value).len());
        HEAD + rows.sum::<usize>() + PADDING
    }

    /// The room above a row, which has this label.
    fn above(&self, row: usize, label: &str) -> usize {
        let first = || self.rows.iter().position(|(other, _)| *other == label) == Some(row);
        if self.groups.contains(&label) && first() {
            GROUP
        } else {
            0
        }
    }

    fn lines(&self, value: &str) -> Vec<String> {
        broken(value, self.columns.1)
    }

    fn draw(&self, svg: &mut String, (x, y): (usize, usize), height: usize) {
        let width = self.width();
        let _ = writeln!(
            svg,
            r#"<rect class="card" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>"#
        );
        let (label_at, value_at) = (x + PADDING, x + PADDING + pixels(self.columns.0));
        let title = format!(r#"<tspan class="title">{}</tspan>"#, escaped(self.title));
        let note = match self.note {
            "" => String::new(),
            note => format!(r#" <tspan class="label">{}</tspan>"#, escaped(note)),
        };
        let _ = writeln!(
            svg,
            r#"<text x="{label_at}" y="{}">{title}{note}</text>"#,
            y + HEAD - 10
        );
        let mut y = y + HEAD;
        for (row, (label, value)) in self.rows.iter().enumerate() {
            y += self.above(row, label);
            let good = matches!(
                (*label, value.as_str()),
                ("VMware Tools", "running, heartbeat green") | ("Guest agent", "running")
            );
            let label = escaped(label);
            let class = if good { r#" class="good""# } else { "" };
            if good {
                let (x, y) = (value_at - 10, y + LINE - 8);
                let _ = writeln!(svg, r#"<circle class="good" cx="{x}" cy="{y}" r="4"/>"#);
            }
            let _ = write!(
                svg,
                r#"<text x="{label_at}" y="{}"><tspan class="label">{label}</tspan>"#,
                y + LINE - 4
            );
            for line in self.lines(value) {
                y += LINE;
                let (line, y) = (escaped(&line), y - 4);
                let _ = write!(
                    svg,
                    r#" <tspan{class} x="{value_at}" y="{y}">{line}</tspan>"#
                );
            }
            svg.push_str("</text>\n");
        }
    }
}

/// The width of so many characters.
fn pixels(characters: usize) -> usize {
    characters * TEN_CHARACTERS / 10
}

/// The lines of a value: a list that is too wide is broken after commas, and what is still too wide is cut.
fn broken(value: &str, width: usize) -> Vec<String> {
    let columns = |text: &str| text.chars().count();
    if columns(value) <= width {
        return vec![value.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for item in value.split_inclusive(", ") {
        match lines.last_mut() {
            Some(line) if columns(line) + columns(item.trim_end()) <= width => line.push_str(item),
            _ => lines.push(item.to_owned()),
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
        if columns(line) > width {
            *line = line.chars().take(width - 1).chain(['…']).collect();
        }
    }
    lines
}

/// Text as XML takes it. It has no way to write most control characters: U+FFFD stands for each.
fn escaped(text: &str) -> String {
    let mut xml = String::new();
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            control if control.is_control() => xml.push('\u{fffd}'),
            other => xml.push(other),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a>(rows: &[(&'a str, &str)]) -> Vec<Row<'a>> {
        let rows = rows.iter();
        rows.map(|(label, value)| (*label, (*value).to_owned()))
            .collect()
    }

    /// The words of each text, in order.
    fn texts(svg: &str) -> Vec<String> {
        let texts = svg.split("<text").skip(1);
        texts
            .map(|text| {
                let inside = text.split("</text>").next().unwrap();
                let words = inside
                    .split('<')
                    .map(|part| part.split_once('>').unwrap().1);
                words.collect::<String>().trim().to_owned()
            })
            .collect()
    }

    #[test]
    fn every_row_is_a_text_in_its_order() {
        let vcenter = rows(&[("DNS name", "talos-cp-1"), ("Network", "mac"), ("", "  ip")]);
        let variables = rows(&[("ready", "true")]);
        let proxmox = rows(&[("Host name", "talos-cp-1")]);
        let svg = svg(&vcenter, "guestinfo.", &variables, &proxmox);
        let expected = [
            "vCenter",
            "DNS name talos-cp-1",
            "Network mac",
            "ip",
            "Variables guestinfo.",
            "ready true",
            "Proxmox VE",
            "Host name talos-cp-1",
        ];
        assert_eq!(texts(&svg), expected);
    }

    #[test]
    fn a_running_agent_is_green_and_no_other() {
        let state = |state| {
            let svg = svg(&rows(&[("VMware Tools", state)]), "", &[], &[]);
            svg.matches(r#"class="good""#).count()
        };
        assert_eq!(state("running, heartbeat green"), 2, "dot and text");
        assert_eq!(state("running, heartbeat red"), 0);
        assert_eq!(state("not running, heartbeat gray"), 0);
        let stage = svg(&[], "", &rows(&[("stage", "running")]), &[]);
        assert_eq!(stage.matches(r#"class="good""#).count(), 0, "{stage}");
    }

    #[test]
    fn text_cannot_become_markup() {
        let hostile = rows(&[("<a>", "</text><script>&\u{7}")]);
        let svg = svg(&hostile, "", &[], &[]);
        assert!(!svg.contains("<script") && !svg.contains("<a>"), "{svg}");
        assert!(
            svg.contains("&lt;/text&gt;&lt;script&gt;&amp;\u{fffd}"),
            "{svg}"
        );
    }

    #[test]
    fn no_line_is_wider_than_its_column() {
        assert_eq!(broken("  10.5.0.2/24", 13), ["  10.5.0.2/24"]);
        assert_eq!(broken("one, two, three", 9), ["one, two,", "three"]);
        assert_eq!(broken("one, two, three", 8), ["one,", "two,", "three"]);
        assert_eq!(broken("0123456789, ab", 8), ["0123456…", "ab"]);
        assert_eq!(broken("äöü, äöü", 4), ["äöü,", "äöü"]);
    }

    #[test]
    fn cards_neither_overlap_nor_leave_the_picture() {
        let many = rows(&[("", "x"); 40]);
        let wide = rows(&[("", "a word or two, or three, or four, or five words"); 3]);
        for (left, above, below) in [
            (&many, &wide, &wide),
            (&wide, &many, &wide),
            (&wide, &wide, &many),
        ] {
            let svg = svg(left, "", above, below);
            let [height, first, second, third] = numbers(&svg, "height")[..] else {
                panic!()
            };
            let last_text = numbers(&svg, "y").into_iter().max().unwrap();
            assert_eq!(height, first + 1);
            assert_eq!(second + GAP + third, first);
            assert!(last_text < height, "{last_text} {height}");
        }
    }

    /// The values of an attribute.
    fn numbers(svg: &str, attribute: &str) -> Vec<usize> {
        let opening = format!(" {attribute}=\"");
        let values = svg.split(&opening).skip(1);
        let values = values.map(|rest| rest.split('"').next().unwrap().parse());
        values.collect::<Result<_, _>>().unwrap()
    }
}
