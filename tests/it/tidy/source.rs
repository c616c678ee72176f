//! A source file as the rules see it: its module, its code without comments and strings, the paths
//! it uses, and its functions.

use std::path::Path;

/// A file of the source.
pub struct Source {
    /// The path relative to the package's root, with `/` as separator.
    pub path: String,
    /// The content.
    pub text: String,
    /// The content with comments and strings replaced by spaces. Line numbers are unchanged.
    pub code: String,
}

/// A path in the code, such as `crate::db::Conn` or `diesel::prelude`.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The line number, from 1.
    pub line: usize,
    /// The segments, with `super` and `self` resolved to paths from `crate`.
    pub parts: Vec<String>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// The line number of its `fn`, from 1.
    pub line: usize,
    /// The name.
    pub name: String,
    /// The number of lines, from `fn` to its closing brace.
    pub lines: usize,
}

impl Source {
    /// Creates a file with this content.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: blank(text) }
    }

    /// Reads all files below a folder of the package whose names have one of these endings.
    pub fn read_all(folder: &str, endings: &[&str]) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                if path.is_dir() {
                    // Installed by npm.
                    if !path.ends_with("node_modules") {
                        folders.push(path);
                    }
                } else if endings.iter().any(|ending| name.ends_with(ending)) {
                    found.push(Self::new(&name, &std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// The path of the module: `["db", "tx"]` for `src/db/tx.rs`, nothing for `src/lib.rs`.
    pub fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|part| !matches!(*part, "lib" | "main")).collect()
    }

    /// All paths in the code: the full ones of `use` declarations, and those in between.
    pub fn names(&self) -> Vec<Named> {
        let mut names = Vec::new();
        let mut position = 0;
        while let Some(start) = self.code[position..].find(is_word).map(|found| position + found) {
            let word_end = end_of_word(&self.code, start);
            let word = &self.code[start..word_end];
            let line = 1 + self.code[..start].matches('\n').count();
            let is_start = !self.code[..start].ends_with([':', '.', '$', '\'', '#']);
            position = word_end;
            if is_start && word == "use" {
                let end = self.code[word_end..].find(';').map_or(self.code.len(), |found| word_end + found);
                spell_out(&[], &self.code[word_end..end], &mut |parts| {
                    names.push(Named { line, parts: self.resolve(parts) });
                });
                position = end;
            } else if is_start && self.code[word_end..].starts_with("::") {
                let end = end_of_path(&self.code, start);
                let parts = self.code[start..end].split("::").map(ToOwned::to_owned).collect();
                names.push(Named { line, parts: self.resolve(parts) });
                position = end;
            }
        }
        names
    }

    /// Whether the file is generated.
    pub fn is_generated(&self) -> bool {
        self.text.trim_start().starts_with("// @generated")
    }

    /// All functions with a body, including nested ones.
    pub fn functions(&self) -> Vec<Function> {
        let code = self.code.as_str();
        let keywords = code.match_indices("fn ").filter(|(at, _)| !code[..*at].ends_with(is_word));
        let functions = keywords.filter_map(|(start, keyword)| {
            let name_start = start + keyword.len();
            let name = &code[name_start..end_of_word(code, name_start)];
            let body = start + body_length(&code[start..])?;
            let line = 1 + code[..start].matches('\n').count();
            let lines = 1 + code[start..body].matches('\n').count();
            (!name.is_empty()).then(|| Function { line, name: name.to_owned(), lines })
        });
        functions.collect()
    }

    /// Resolves a path that begins with `self` or `super`, from the crate's root.
    fn resolve(&self, parts: Vec<String>) -> Vec<String> {
        let ups = parts.iter().take_while(|part| *part == "super").count();
        let is_self = parts.first().is_some_and(|part| part == "self");
        if ups == 0 && !is_self {
            return parts;
        }
        let module = self.module();
        let kept = module.len().saturating_sub(ups);
        let base = module.into_iter().take(kept).map(ToOwned::to_owned);
        let rest = parts.into_iter().skip(ups.max(usize::from(is_self)));
        std::iter::once("crate".to_owned()).chain(base).chain(rest).collect()
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn end_of_word(code: &str, start: usize) -> usize {
    code[start..].find(|letter| !is_word(letter)).map_or(code.len(), |length| start + length)
}

fn end_of_path(code: &str, start: usize) -> usize {
    let mut end = end_of_word(code, start);
    while code[end..].starts_with("::") && code[end + 2..].starts_with(is_word) {
        end = end_of_word(code, end + 2);
    }
    end
}

/// The length of the function at the start of the code, up to the closing brace. `None` if it has
/// no body.
fn body_length(code: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0, 0);
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if brackets == 0 && braces == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Yields all paths of a `use` tree: `a::{b, c::d as e}` yields `a::b` and `a::c::d`.
fn spell_out(before: &[String], tree: &str, emit: &mut impl FnMut(Vec<String>)) {
    let tree = tree.trim();
    match tree.split_once('{') {
        Some((prefix, rest)) => {
            let before = [before, &steps(prefix)].concat();
            let inside = rest.strip_suffix('}').unwrap_or(rest);
            let mut depth = 0;
            let branches = inside.split(|letter| {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                letter == ',' && depth == 0
            });
            branches
                .filter(|branch| !branch.trim().is_empty())
                .for_each(|branch| spell_out(&before, branch, emit));
        }
        None => {
            let path = tree.split(" as ").next().unwrap_or(tree);
            emit([before, &steps(path)].concat());
        }
    }
}

fn steps(path: &str) -> Vec<String> {
    path.split("::").map(|step| step.trim().to_owned()).filter(|step| !step.is_empty()).collect()
}

/// Replaces comments and strings by spaces.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !code.ends_with(is_word)) {
            length
        } else if first == '"' {
            quoted(rest, '"').unwrap_or(rest.len())
        } else if first == '\'' {
            // A lifetime has no closing quote where a character would.
            quoted(rest, '\'')
                .filter(|end| {
                    *end == 3 || rest[1..].starts_with('\\') || rest[1..*end - 1].chars().count() == 1
                })
                .unwrap_or(0)
        } else {
            0
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the quoted string at the beginning, including its quotes.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, letter)| {
        let ends = letter == quote && !escaped;
        escaped = letter == '\\' && !escaped;
        ends.then_some(at + 1)
    })
}

/// The length of the raw string at the beginning: `r"…"`, `r#"…"#`.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    hashes[count..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    let begin = count + 2;
    text[begin..].find(&end).map(|found| begin + found + end.len())
}

#[test]
#[expect(clippy::needless_raw_string_hashes, reason = "they are needed for `\"\"#`")]
fn paths_are_found_in_use_declarations_and_code() {
    let source = Source::new(
        "src/db/tx.rs",
        r##"
        //! crate::never
        use crate::{domain::{ids::Id as Identity, money}, error};
        fn f<'a>(text: &'a str) -> char {
            /* crate::neither */
            let _ = "crate::nor" + r#"crate::this "quoted""#;
            super::conn::open(diesel::sql_query('"'));
        }
        "##,
    );
    let names: Vec<String> = source.names().iter().map(|name| name.parts.join("::")).collect();
    let expected = [
        "crate::domain::ids::Id",
        "crate::domain::money",
        "crate::error",
        "crate::db::conn::open",
        "diesel::sql_query",
    ];
    assert_eq!(names, expected);
    assert_eq!(source.names()[4].line, 7);
}

#[test]
fn functions_are_measured_from_fn_to_the_closing_brace() {
    let source = Source::new(
        "src/db/tx.rs",
        r#"
        // fn in_a_comment() {}
        trait Open {
            fn without_a_body(&self) -> [u8; 2];
        }
        type Callback = fn (u8) -> u8;
        pub async fn outer<const N: usize>(
            texts: [&str; N],
        ) -> usize
        where
            [(); N]: Sized,
        {
            fn inner() -> char { '{' }
            let _ = "fn in_a_text() {";
            texts.iter().map(|text| { text.len() }).sum()
        }
        "#,
    );
    let functions = source.functions();
    let found: Vec<_> = functions.iter().map(|one| (one.line, one.name.as_str(), one.lines)).collect();
    assert_eq!(found, [(7, "outer", 10), (13, "inner", 1)]);
}
