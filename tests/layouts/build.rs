//! Finds the layouts of this folder, so that a new one is a new file and nothing else.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = fs::read_dir(&folder)?
        .filter_map(|entry| layout_name(&entry.ok()?.path()))
        .collect();
    names.sort();

    let mut texts = String::new();
    let mut tests = String::new();
    for name in names {
        let path = folder.join(format!("{name}.yaml"));
        writeln!(texts, "    ({name:?}, include_str!({path:?})),")?;
        let function = name.replace('-', "_");
        writeln!(
            tests,
            "        #[test] fn {function}() {{ $judge({name:?}) }}"
        )?;
    }
    let generated = format!(
        "/// Name and text of every layout.\n\
         const TEXTS: &[(&str, &str)] = &[\n{texts}];\n\n\
         /// Makes a test of each layout; it calls the function with the layout's name.\n\
         #[macro_export]\n\
         macro_rules! test_each {{\n    ($judge:path) => {{\n{tests}    }};\n}}\n"
    );
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("found.rs"),
        generated,
    )?;
    Ok(())
}

fn layout_name(path: &Path) -> Option<String> {
    (path.extension()? == "yaml").then(|| path.file_stem()?.to_str().map(str::to_owned))?
}
