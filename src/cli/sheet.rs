//! A sheet: a page in one file, without scripts and without anything from elsewhere, with plots and their tables.

mod bars;
mod plot;

use std::fmt::Write as _;

pub(super) use bars::{Bar, Bars};
pub(super) use plot::{Ink, Plot, Series};

/// The whole page.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
}

/// A plot, what its lines are, and its table.
pub(super) fn figure(plot: &Plot<'_>, lines: &str, table: &str) -> String {
    format!(
        "<figure>\n<p class=\"name\">{}</p>\n{}<figcaption>{lines}</figcaption>\n{table}</figure>\n",
        plot.title,
        plot.draw()
    )
}

/// A table with its caption; its first column heads its rows.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let long = if rows.len() > ROWS_SHOWN { " long" } else { "" };
    let mut html = format!(
        "<div class=\"scroll{long}\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table><caption>{caption}</caption>\
         <thead><tr>"
    );
    for head in heads {
        // Writing to text does not fail.
        let _ = write!(html, "<th scope=\"col\">{head}</th>");
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = if at == 0 {
                write!(html, "<th scope=\"row\">{cell}</th>")
            } else {
                write!(html, "<td>{cell}</td>")
            };
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>");
    html
}

/// Text as it stands in HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Longer tables are scrolled, but printed whole.
const ROWS_SHOWN: usize = 20;
/// Colours that people who are colour-blind tell apart (Okabe and Ito, 2008); each line has dashes of its own as well.
const STYLE: &str = "
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#5a6169;--grid:#d5dae0;--first:#0072b2;--second:#b34700;--third:#1b1f24}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e8eaed;--faint:#a3abb3;--grid:#363c43;--first:#56b4e9;--second:#e69f00;--third:#e8eaed}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,sans-serif}
main{max-width:46rem;margin:0 auto;padding:1.25rem 1rem 3rem}
h1{font-size:1.7rem;line-height:1.2;margin:.4em 0}
h2{font-size:1.25rem;line-height:1.3;margin:2em 0 .4em}
p,ul{margin:.6em 0}
code{overflow-wrap:anywhere}
figure{margin:1.4em 0}
.name{font-weight:600;margin:0 0 .3em}
svg{display:block;width:100%;max-width:32rem;height:auto}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}
.middle{text-anchor:middle}.end{text-anchor:end}
.grid{stroke:var(--grid);fill:none}.axis{stroke:var(--faint);fill:none}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.bar{fill:var(--grid);stroke:var(--first);stroke-width:1}
.first{stroke:var(--first)}.second{stroke:var(--second);stroke-dasharray:5 3}.third{stroke:var(--third);stroke-width:1.2;stroke-dasharray:1.5 2.5}
figcaption{color:var(--faint);font-size:.9rem;margin:.3em 0 .6em}
.scroll{overflow:auto;margin:.8em 0;border:1px solid var(--grid)}
.long{max-height:22rem}
dt{font-weight:600;margin-top:.8em}dd{margin:.1em 0 0}.goal{color:var(--faint)}
.scroll:focus-visible{outline:3px solid var(--first);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.4rem .6rem;color:var(--faint)}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-top:1px solid var(--grid);font-weight:400}
thead th{font-weight:600}
@media print{
:root{color-scheme:light;--paper:#fff;--ink:#000;--faint:#444;--grid:#bbb;--first:#0072b2;--second:#b34700;--third:#000}
.scroll{overflow:visible;max-height:none;border:0}
main{max-width:none;padding:0}
h2,.name{break-after:avoid}svg,tr{break-inside:avoid}thead{display:table-header-group}
}
";
