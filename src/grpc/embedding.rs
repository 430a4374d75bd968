//! The components of a sample or template on the wire, `repeated float values = 1`: read and written in one go.
//!
//! What is generated for such a field takes each component by itself, and grows its buffer step by step, which takes longer
//! than TLS and leaves copies of half a sample behind each time.

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, decode_varint, encode_key, encode_varint, float, skip_field};
use prost::{DecodeError, Message};
use zeroize::Zeroizing;

/// An embedding, as its extractor gave it.
#[derive(Clone, PartialEq, Default)]
pub struct Embedding {
    /// The components, as many as the scheme's dimension, each finite. Required.
    pub values: Vec<f32>,
}

impl Message for Embedding {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if self.values.is_empty() {
            return;
        }
        encode_key(VALUES, WireType::LengthDelimited, buf);
        encode_varint(
            u64::try_from(self.values.len().saturating_mul(COMPONENT_BYTES)).unwrap_or(u64::MAX),
            buf,
        );
        let mut bytes = Zeroizing::new([[0; COMPONENT_BYTES]; BLOCK_COMPONENTS]);
        for block in self.values.chunks(BLOCK_COMPONENTS) {
            for (to, value) in bytes.iter_mut().zip(block) {
                *to = value.to_le_bytes();
            }
            buf.put_slice(bytes.get(..block.len()).unwrap_or_default().as_flattened());
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match (tag, wire_type) {
            (VALUES, WireType::LengthDelimited) => self.merge_packed(buf, context),
            (VALUES, _) => float::merge_repeated(wire_type, &mut self.values, buf, context),
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        float::encoded_len_packed(VALUES, &self.values)
    }

    fn clear(&mut self) {
        self.values.clear();
    }
}

impl Embedding {
    fn merge_packed(&mut self, buf: &mut impl Buf, context: DecodeContext) -> Result<(), DecodeError> {
        let length = usize::try_from(decode_varint(buf)?).unwrap_or(usize::MAX);
        if length > buf.remaining() || !length.is_multiple_of(COMPONENT_BYTES) {
            // As for a component that is cut off.
            return float::merge(WireType::ThirtyTwoBit, &mut 0.0, &mut [].as_slice(), context);
        }
        let mut left = length / COMPONENT_BYTES;
        self.values.reserve_exact(left);
        while left > 0 {
            let (whole, _) = buf.chunk().as_chunks::<COMPONENT_BYTES>();
            let here = whole.iter().take(left);
            let taken = here.len();
            self.values.extend(here.map(|bytes| f32::from_le_bytes(*bytes)));
            buf.advance(taken.saturating_mul(COMPONENT_BYTES));
            left = left.saturating_sub(taken);
            if taken == 0 {
                // It lies across two pieces of the buffer.
                self.values.push(buf.get_f32_le());
                left = left.saturating_sub(1);
            }
        }
        Ok(())
    }
}

const VALUES: u32 = 1;
const COMPONENT_BYTES: usize = size_of::<f32>();
/// Put into the buffer together.
const BLOCK_COMPONENTS: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::bytes::Bytes;

    use super::*;

    /// As it would be generated.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Generated {
        #[prost(float, repeated, tag = "1")]
        values: Vec<f32>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Unpacked {
        #[prost(float, repeated, packed = "false", tag = "1")]
        values: Vec<f32>,
        #[prost(string, tag = "2")]
        unknown: String,
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    proptest! {
        #[test]
        fn it_is_what_would_be_generated(values: Vec<f32>, beside: Vec<f32>, unknown: String, cut: usize) {
            let own = Embedding { values: values.clone() };
            let packed = Generated { values: values.clone() }.encode_to_vec();
            prop_assert_eq!(&own.encode_to_vec(), &packed);
            let unpacked = Unpacked { values: beside, unknown }.encode_to_vec();
            let both = [packed, unpacked].concat();
            let expected = Generated::decode(both.as_slice()).unwrap();
            // In two pieces, cut anywhere.
            let (left, right) = both.split_at(cut.checked_rem(both.len()).unwrap_or(0));
            let pieces = Bytes::copy_from_slice(left).chain(Bytes::copy_from_slice(right));
            for read in [Embedding::decode(both.as_slice()), Embedding::decode(pieces)] {
                prop_assert_eq!(bits(&read.unwrap().values), bits(&expected.values));
            }
        }

        #[test]
        fn what_would_not_be_read_is_not_read(bytes: Vec<u8>) {
            let (own, generated) = (Embedding::decode(bytes.as_slice()), Generated::decode(bytes.as_slice()));
            prop_assert_eq!(own.ok().map(|own| bits(&own.values)), generated.ok().map(|one| bits(&one.values)));
        }

        #[test]
        fn what_is_cut_off_is_not_read(values in prop::collection::vec(any::<f32>(), 1..200), cut in 1_usize..4) {
            let whole = Embedding { values }.encode_to_vec();
            prop_assert!(Embedding::decode(&whole[..whole.len() - cut]).is_err());
        }
    }

    #[test]
    fn a_length_that_is_no_number_of_components_is_refused_and_a_long_one_takes_no_memory() {
        for bytes in [&[0x0a, 3, 0, 0, 0][..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x0a, 8, 0, 0, 0, 0]]
        {
            assert!(Embedding::decode(bytes).is_err());
            assert!(Generated::decode(bytes).is_err());
        }
    }
}
