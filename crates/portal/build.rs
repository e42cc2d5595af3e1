//! Puts the stylesheets and scripts of the pages into the binary, compressed, each with a name that changes with it.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Name, type and file of each.
const ASSETS: [(&str, &str, &str); 4] = [
    (
        "tabler.css",
        "text/css; charset=utf-8",
        "node_modules/@tabler/core/dist/css/tabler.min.css",
    ),
    ("portal.css", "text/css; charset=utf-8", "portal.css"),
    (
        "htmx.js",
        "text/javascript; charset=utf-8",
        "node_modules/htmx.org/dist/htmx.min.js",
    ),
    ("portal.js", "text/javascript; charset=utf-8", "portal.js"),
];

#[expect(clippy::disallowed_methods, reason = "cargo says it so")]
fn named(variable: &str) -> String {
    env::var(variable).expect("cargo names it")
}

fn main() {
    let folder = Path::new(&named("CARGO_MANIFEST_DIR")).join("assets");
    let out = named("OUT_DIR");
    println!("cargo::rerun-if-changed=assets/package-lock.json");
    let mut table = String::from("pub(crate) static ALL: &[Asset] = &[\n");
    for (name, kind, file) in ASSETS {
        let path = folder.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let Ok(bytes) = fs::read(&path) else {
            println!(
                "cargo::error={} is missing: run script/assets once, which installs it with npm",
                path.display()
            );
            return;
        };
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let packed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
        let packed = packed.expect("memory takes what is written");
        let kept = Path::new(&out).join(format!("{name}.gz"));
        fs::write(&kept, packed).expect("the folder of the build can be written");
        let kept = kept.to_str().expect("the folder of the build is text");
        let at = format!("/assets/{:016x}/{name}", hasher.finish());
        let _ = writeln!(
            table,
            "    Asset {{ name: {name:?}, path: {at:?}, kind: {kind:?}, packed: include_bytes!({kept:?}) }},"
        );
    }
    table.push_str("];\n");
    fs::write(Path::new(&out).join("assets.rs"), table)
        .expect("the folder of the build can be written");
}
