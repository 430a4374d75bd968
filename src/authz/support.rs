//! Whether the calibration of a scheme supports the rate of false hits that an agreement allows.

use std::num::NonZeroU32;

use super::agreement::{Agreement, HitConfirmation};
use super::fault::PolicyFault;
use super::rules::Rules;
use crate::ids::CollectionName;
use crate::template::{Rate, Supported};

/// For which galleries of a collection queries under an agreement can be answered.
#[derive(Debug, Clone, Copy)]
pub struct Support<'a> {
    /// The agreement.
    pub agreement: &'a Agreement,
    /// The collection.
    pub collection: &'a CollectionName,
    /// The galleries.
    pub galleries: Supported,
}

impl Rules {
    /// Every agreement on each of its collections, in the order of names.
    pub fn supports(&self) -> impl Iterator<Item = Support<'_>> {
        self.agreements().flat_map(move |agreement| {
            agreement.collections.iter().filter_map(move |collection| {
                let scheme = self.scheme(&self.collection(collection)?.scheme)?;
                let fpir = Rate::new(agreement.accuracy.fpir).ok()?;
                let samples = NonZeroU32::new(agreement.volumes.samples_per_query).unwrap_or(NonZeroU32::MIN);
                let galleries = scheme.scheme.calibration.supported(fpir, samples);
                Some(Support { agreement, collection, galleries })
            })
        })
    }

    /// Agreements under which every query would be refused, whatever the size of the gallery.
    pub(super) fn unsupported(&self) -> Vec<PolicyFault> {
        let never = self.supports().filter(|support| support.galleries == Supported::Never);
        never.map(|support| self.unsupported_at(support.agreement, support.collection)).collect()
    }

    /// Agreements whose hits could never be confirmed: a rate lies outside what the calibration of a scheme was measured at.
    pub(super) fn unconfirmable(&self) -> Vec<PolicyFault> {
        let mut faults = Vec::new();
        for agreement in self.agreements() {
            let HitConfirmation::Required(rates) = agreement.hit_confirmation else { continue };
            let schemes =
                agreement.collections.iter().filter_map(|name| self.scheme(&self.collection(name)?.scheme));
            for scheme in schemes {
                for (key, rate) in [("confirms_fmr", rates.confirms), ("contradicts_fmr", rates.contradicts)]
                {
                    if let Err(error) = scheme.scheme.calibration.threshold_for(rate) {
                        faults.push(self.fault_at(agreement, key, error.to_string()));
                    }
                }
            }
        }
        faults
    }

    fn unsupported_at(&self, agreement: &Agreement, collection: &CollectionName) -> PolicyFault {
        let message = format!(
            "the calibration supports no gallery of `{collection}` at this FPIR; calibrate its scheme on more \
             comparisons, or agree on another rate"
        );
        self.fault_at(agreement, "fpir", message)
    }

    fn fault_at(&self, agreement: &Agreement, key: &str, message: String) -> PolicyFault {
        let file = format!("agreements/{}.toml", agreement.name);
        let content = self.bundle().file(&file).and_then(|content| std::str::from_utf8(content).ok());
        let text = content.unwrap_or_default();
        PolicyFault::at(&file, text, offset_of_value(text, key), message)
    }
}

/// Where the value of a key begins; the beginning of the text without one.
fn offset_of_value(text: &str, key: &str) -> usize {
    let mut offset = 0_usize;
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start().strip_prefix(key).and_then(|rest| rest.trim_start().strip_prefix('='));
        if let Some(value) = rest {
            return offset.saturating_add(line.len().saturating_sub(value.trim_start().len()));
        }
        offset = offset.saturating_add(line.len());
    }
    0
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::bundle::Bundle;
    use super::*;

    const AGREEMENT: &str = "agreements/ca-border-identity.toml";
    const SCHEME: &str = "schemes/demo-face-256.toml";

    /// The example folder with one text of a file replaced.
    fn loaded(file: &str, from: &str, to: &str) -> Result<Rules, Vec<PolicyFault>> {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
        let example = Bundle::read_folder(&example).unwrap();
        let files = example.files().map(|(path, content)| {
            let text = String::from_utf8(content.to_vec()).unwrap();
            assert!(path != file || text.contains(from), "`{from}` should stand in the example");
            (
                path.to_owned(),
                if path == file { text.replace(from, to).into_bytes() } else { content.to_vec() },
            )
        });
        Rules::load(Bundle::from_files(files).unwrap())
    }

    #[test]
    fn an_agreement_says_for_which_galleries_it_is_supported() {
        let rules = loaded(AGREEMENT, "fpir = 1e-6", "fpir = 1e-6").ok().unwrap();
        let told: Vec<(&str, Supported)> =
            rules.supports().map(|it| (it.agreement.name.as_str(), it.galleries)).collect();
        // The table ends at 1e-12; one agreement allows three samples, the other one.
        let between =
            |from: u64, to: u64| Supported::Between(from.try_into().unwrap(), to.try_into().unwrap());
        assert_eq!(told[0], ("au-border-identity", between(1, 333_333)));
        assert_eq!(told[1], ("ca-border-identity", between(1, 1_000_000)));
    }

    #[test]
    fn an_agreement_that_no_gallery_can_keep_is_refused_where_it_says_so() {
        let faults = loaded(AGREEMENT, "fpir = 1e-6", "fpir = 1e-12").err();
        assert!(faults.is_none(), "one template and one sample are still supported");
        let last = "  { threshold = 0.439656, false_match_rate = 1.000e-12 },\n";
        let faults = loaded(SCHEME, last, "").err();
        assert!(faults.is_none(), "1e-6 is far above 3.162e-12");
        let cut = "  { threshold = 0.297090, false_match_rate = 1.000e-06 },\n";
        let example = include_str!("../../policy/schemes/demo-face-256.toml");
        let (_, after) = example.split_once(cut).unwrap();
        let (rest, _) = after.split_once("]\n\n# With these").unwrap();
        let tail = format!("{cut}{rest}");
        let faults = loaded(SCHEME, &tail, "").err().unwrap();
        let line = include_str!("../../policy/agreements/ca-border-identity.toml")
            .lines()
            .position(|line| line.starts_with("fpir"))
            .unwrap();
        assert_eq!(faults.len(), 2, "{faults:#?}");
        assert_eq!(
            (faults[1].file.as_str(), faults[1].line, faults[1].column),
            (AGREEMENT, line + 1, "fpir = ".len() + 1)
        );
        assert!(faults[1].message.contains("supports no gallery of `watch-face`"), "{}", faults[1].message);
    }
}
