//! From a format to the decoder that reads it.

use super::Decoder;
use super::audit::AuditDecoder;
use super::detect::Format;
use super::gadget::GadgetDecoder;
use super::kunai::KunaiDecoder;
use super::native::NativeDecoder;
use super::strace::{StraceDecoder, StraceOptions};
use super::sysdig::SysdigDecoder;
use super::tetragon::TetragonDecoder;
use super::tracee::TraceeDecoder;

impl Format {
    /// A decoder for one input of this format. `image` and `tag` are for formats that know of no container; without an
    /// `image` it is the first program's name.
    #[doc(hidden)]
    pub fn decoder(self, image: Option<&str>, tag: &str) -> Box<dyn Decoder> {
        let options = || StraceOptions { image: image.map(str::to_owned), tag: tag.to_owned() };
        match self {
            Self::Grove => Box::new(NativeDecoder::new()),
            Self::Sysdig => Box::new(SysdigDecoder::new()),
            Self::Strace => Box::new(StraceDecoder::new(options())),
            Self::Audit => Box::new(AuditDecoder::new(options())),
            Self::Gadget => Box::new(GadgetDecoder::new()),
            Self::Kunai => Box::new(KunaiDecoder::new()),
            Self::Tetragon => Box::new(TetragonDecoder::new()),
            Self::Tracee => Box::new(TraceeDecoder::new()),
        }
    }
}
