//! Writes what the cameras of a simulated platform see at some times into a folder.
//!
//! `cargo run -p sagwan-bridges --example snapshots -- humanoid out/snapshots 0 3.5 5`

use std::{env, error::Error, fs, path::PathBuf};

use foxglove::messages::CompressedImage;
use prost::Message;
use sagwan_bridges::simulate::{Kind, Platform, platform::Moment};
use sagwan_schemas::{stream::Modality, time::Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let kind: Kind = arguments.next().ok_or("which platform?")?.parse()?;
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let times: Vec<f64> = arguments.map(|text| text.parse()).collect::<Result<_, _>>()?;
    fs::create_dir_all(&folder)?;
    let platform = Platform::new(kind, 1)?;
    for (index, stream) in platform.streams().iter().enumerate() {
        if stream.modality != Modality::CompressedImage {
            continue;
        }
        let mut source = platform.source(index)?;
        for &seconds in &times {
            let moment = Moment { index: (seconds * 10.0) as u64, seconds, capture_time: Timestamp::EPOCH };
            let image = CompressedImage::decode(&source.sample(&moment)?[..])?;
            let picture = image::load_from_memory(&image.data)?;
            picture.save(folder.join(format!("{}_{seconds}.png", stream.name)))?;
        }
    }
    Ok(())
}
