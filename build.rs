//! Compiles every schema under `proto/` into Rust types and one descriptor set.
//!
//! Written to `OUT_DIR`: `pb.rs`, a tree of modules that mirrors the proto packages, and `onebit.bin`, the
//! encoded descriptor set for reflection and for tests that count RPCs. Without the feature `service`
//! there is nothing to compile.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "service")]
    {
        schemas::compile()?;
        style()?;
    }
    Ok(())
}

/// Writes `style.rs`: the console's style where `make assets` has compiled it, and none otherwise, so that the service
/// builds without Node.
#[cfg(feature = "service")]
fn style() -> Result<(), Box<dyn std::error::Error>> {
    // The folder and not the file: a path that is missing would count as changed at every build.
    println!("cargo:rerun-if-changed=web");
    let style = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("web/dist/console.css");
    let value = if style.is_file() {
        format!("Some(include_bytes!({:?}))", style.display().to_string())
    } else {
        "None".to_owned()
    };
    std::fs::write(std::path::Path::new(&std::env::var("OUT_DIR")?).join("style.rs"), value)?;
    Ok(())
}

#[cfg(feature = "service")]
mod schemas {
    use std::error::Error;
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    /// Compiles the schemas with protox, so that no `protoc` has to be installed.
    pub(crate) fn compile() -> Result<(), Box<dyn Error>> {
        let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("proto");
        let out = PathBuf::from(env::var("OUT_DIR")?);
        let mut files = Vec::new();
        collect(&root, &mut files)?;
        files.sort();

        // Comments stay in the schemas: as Rust documentation they would hold broken links, and indented
        // lines would be run as doctests.
        let mut compiler = protox::Compiler::new([&root])?;
        compiler.include_imports(true).include_source_info(false);
        compiler.open_files(&files)?;
        fs::write(out.join("onebit.bin"), compiler.encode_file_descriptor_set())?;

        let set = compiler.file_descriptor_set();
        // Messages carry samples and record fields; without `Debug` no log line can print one.
        let messages: Vec<String> = set
            .file
            .iter()
            .flat_map(|file| file.message_type.iter().map(|it| format!(".{}.{}", file.package(), it.name())))
            .collect();
        tonic_prost_build::configure()
            .build_client(true)
            .build_server(true)
            .skip_debug(messages)
            .extern_path(".onebit.partner.v1.Embedding", EMBEDDING)
            .extern_path(".onebit.enrolment.v1.Embedding", EMBEDDING)
            .include_file("pb.rs")
            .emit_rerun_if_changed(false)
            .compile_fds(set)?;
        Ok(())
    }

    /// Written by hand, for both schemas: nearly all the bytes that come in are in it.
    const EMBEDDING: &str = "crate::grpc::embedding::Embedding";

    /// Every `.proto` file below `folder`; tells Cargo to watch the folders, so that a new file is seen too.
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
        println!("cargo:rerun-if-changed={}", folder.display());
        for entry in fs::read_dir(folder).map_err(|error| format!("read `{}`: {error}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                collect(&path, files)?;
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                println!("cargo:rerun-if-changed={}", path.display());
                files.push(path);
            }
        }
        Ok(())
    }
}
