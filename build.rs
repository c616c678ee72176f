//! Prepares `GraphiQL`, the page at `/graphiql`, and lists the demo shop's images.
//!
//! If `npm` works, the front end in `src/http/graphiql` is bundled and every file
//! of the bundle is embedded, so that the page works offline. Otherwise, or with
//! `MERCATO_GRAPHIQL=public`, the page loads a pinned public copy instead: the build
//! warns but does not fail.
//!
//! Everything is written below `OUT_DIR`; `graphiql_assets.rs` there is what
//! `src/http/graphiql.rs` includes.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

const SOURCES: &str = "src/http/graphiql";
const DEMO_IMAGES: &str = "src/services/shop/demo/images";

/// The inputs of the bundle. The rest of `SOURCES` is assembled here without npm.
const BUNDLED: [&str; 5] = ["package.json", "package-lock.json", "bundle.mjs", "main.jsx", "fetcher.js"];

/// The npm package of `GraphiQL` 5 holds nothing a browser can load, and the CDNs that
/// assemble a module on request (esm.sh, the `+esm` of jsDelivr) let an integrity hash
/// cover only the stub that imports it. GraphQL Yoga publishes `GraphiQL` 5.2 as one
/// self-contained script, which jsDelivr serves byte for byte as it is on npm: the hashes
/// in `public.head.html` and `public.js` are those of the files in the package.
const PUBLIC_COPY: &str = "https://cdn.jsdelivr.net/npm/@graphql-yoga/graphiql@4.5.0/dist";

fn main() -> io::Result<()> {
    let mut cargo = io::stdout().lock();
    writeln!(cargo, "cargo::rerun-if-changed=build.rs")?;
    writeln!(cargo, "cargo::rerun-if-changed={SOURCES}")?;
    writeln!(cargo, "cargo::rerun-if-changed={DEMO_IMAGES}")?;
    writeln!(cargo, "cargo::rerun-if-env-changed=MERCATO_GRAPHIQL")?;

    let out = env::var_os("OUT_DIR").map(PathBuf::from);
    let out = out.ok_or_else(|| io::Error::other("OUT_DIR is not set: run this with cargo"))?;
    let sources = Path::new(SOURCES);
    list_demo_images(&out)?;

    let bundle = if env::var_os("MERCATO_GRAPHIQL").is_some_and(|wish| wish == "public") {
        None
    } else {
        match bundle(sources, &out.join("graphiql")) {
            Ok(bundle) => Some(bundle),
            Err(error) => {
                let reason = error.to_string().replace(['\r', '\n'], " ");
                writeln!(
                    cargo,
                    "cargo::warning=/graphiql is not embedded and will load a public copy: {reason}"
                )?;
                None
            }
        }
    };
    generate(sources, bundle.as_deref(), &out)
}

/// Writes the Rust file with the name and content of every image.
fn list_demo_images(out: &Path) -> io::Result<()> {
    let mut images = String::new();
    for file in listing(Path::new(DEMO_IMAGES))? {
        let name = file_name(&file)?;
        // Not an absolute path: another checkout may share the target folder.
        let path = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{DEMO_IMAGES}/{name}\")");
        writeln!(images, "    ({name:?}, include_str!({path})),").map_err(io::Error::other)?;
    }
    fs::write(out.join("demo_images.rs"), format!("static IMAGES: &[(&str, &str)] = &[\n{images}];\n"))
}

/// Runs npm in a copy of the front end, unless the bundle of exactly these sources
/// already exists. Returns the folder of gzipped files.
fn bundle(sources: &Path, work: &Path) -> io::Result<PathBuf> {
    let mut inputs = Vec::new();
    for name in BUNDLED {
        inputs.extend(fs::read(sources.join(name))?);
    }
    let revision = format!("{:016x}", fingerprint([inputs.as_slice()]));
    let dist = work.join("dist");
    let stamp = work.join("revision");
    if fs::read_to_string(&stamp).is_ok_and(|built| built == revision) {
        return Ok(dist);
    }

    if work.exists() {
        fs::remove_dir_all(work)?;
    }
    fs::create_dir_all(work)?;
    for name in BUNDLED {
        fs::copy(sources.join(name), work.join(name))?;
    }
    npm(
        work,
        &[
            "ci",
            "--ignore-scripts",
            "--prefer-offline",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=1",
            "--fetch-retry-mintimeout=1000",
        ],
    )?;
    npm(work, &["run", "bundle"])?;
    // About 200 MB, and no longer needed.
    fs::remove_dir_all(work.join("node_modules"))?;
    fs::write(stamp, revision)?;
    Ok(dist)
}

fn npm(folder: &Path, arguments: &[&str]) -> io::Result<()> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| io::Error::other(format!("cannot run npm: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let step = arguments.first().copied().unwrap_or_default();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let reason = stderr.lines().find(|line| line.contains("error"));
    let reason = reason.unwrap_or("no reason given").trim();
    Err(io::Error::other(format!("npm {step} failed: {reason}")))
}

/// Writes the page and the Rust file with it and every asset.
fn generate(sources: &Path, bundle: Option<&Path>, out: &Path) -> io::Result<()> {
    let (files, head) = match bundle {
        Some(bundle) => (listing(bundle)?, "bundled.head.html"),
        None => (vec![sources.join("public.js"), sources.join("fetcher.js")], "public.head.html"),
    };

    let embedded = out.join("graphiql_assets");
    if embedded.exists() {
        fs::remove_dir_all(&embedded)?;
    }
    fs::create_dir_all(&embedded)?;
    let mut assets = String::new();
    let mut contents = Vec::new();
    for file in files {
        let bytes = fs::read(&file)?;
        let stored = file_name(&file)?;
        fs::write(embedded.join(stored), &bytes)?;
        let name = stored.strip_suffix(".gz").unwrap_or(stored);
        let gzipped = name != stored;
        writeln!(
            assets,
            "    Asset {{ name: {name:?}, gzipped: {gzipped}, \
             bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/graphiql_assets/{stored}\")) }},"
        )
        .map_err(io::Error::other)?;
        contents.push(bytes);
    }
    let revision = format!("{:016x}", fingerprint(contents.iter().map(Vec::as_slice)));

    let page = fs::read_to_string(sources.join("index.html"))?
        .replace("{{head}}", fs::read_to_string(sources.join(head))?.trim())
        .replace("{{assets}}", &format!("/graphiql/assets/{revision}"))
        .replace("{{public_copy}}", PUBLIC_COPY)
        .replace("{{tabs}}", &tabs(&sources.join("examples"))?);
    let page_revision = format!("{:016x}", fingerprint([page.as_bytes()]));
    fs::write(out.join("graphiql.html"), page)?;

    let public_copy = bundle.is_none().then_some(PUBLIC_COPY);
    let code = format!(
        "const REVISION: &str = {revision:?};\n\
         const PAGE_REVISION: &str = {page_revision:?};\n\
         const PAGE: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/graphiql.html\"));\n\
         const PUBLIC_COPY: Option<&str> = {public_copy:?};\n\
         static ASSETS: &[Asset] = &[\n{assets}];\n"
    );
    fs::write(out.join("graphiql_assets.rs"), code)
}

/// The example documents in the format of `GraphiQL`: a JSON array with one tab for each
/// `.graphql` file, in the order of their names, with the variables and the headers
/// next to it.
fn tabs(examples: &Path) -> io::Result<String> {
    let mut tabs = Vec::new();
    for file in listing(examples)? {
        if file.extension().is_none_or(|extension| extension != "graphql") {
            continue;
        }
        let mut tab = format!("{{\"query\":{}", json_string(&fs::read_to_string(&file)?));
        for editor in ["variables", "headers"] {
            let beside = file.with_extension(format!("{editor}.json"));
            if beside.exists() {
                let text = json_string(fs::read_to_string(beside)?.trim());
                write!(tab, ",{editor:?}:{text}").map_err(io::Error::other)?;
            }
        }
        tab.push('}');
        tabs.push(tab);
    }
    Ok(format!("[{}]", tabs.join(",")))
}

/// `<` is escaped too, because the text ends up inside a `<script>` element.
fn json_string(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => {}
            '<' => quoted.push_str("\\u003c"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// The files of a folder in the order of their names, so that builds are reproducible.
fn listing(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn file_name(file: &Path) -> io::Result<&str> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| io::Error::other(format!("{} has no plain name", file.display())))
}

/// FNV-1a, 64 bits: tells revisions apart for caches, and is no protection.
fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let bytes = parts.into_iter().flatten();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
