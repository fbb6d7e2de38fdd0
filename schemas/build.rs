//! Compiles `proto/sagwan/*.proto` without protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost_build::Config;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut sources: Vec<PathBuf> =
        fs::read_dir("proto/sagwan")?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    sources.retain(|path| path.extension().is_some_and(|e| e == "proto"));
    sources.sort();
    let descriptors = protox::compile(&sources, ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut config = Config::new();
    // Names for `prost::Name`, payload bytes without a copy, maps in one order.
    config.enable_type_names().bytes(["."]).btree_map(["."]);
    config.file_descriptor_set_path(out.join("sagwan.bin"));
    config.compile_fds(descriptors.clone())?;
    fs::write(out.join("sagwan.bin"), prost::Message::encode_to_vec(&descriptors))?;
    Ok(())
}
