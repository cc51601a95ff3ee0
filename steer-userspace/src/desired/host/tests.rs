use super::*;

#[test]
fn full_names_are_in_lower_case() {
    let full = |name| full_name(name, "shop", "cluster.local");
    assert_eq!(full("Catalog"), "catalog.shop.svc.cluster.local");
    assert_eq!(full("Catalog.Shop"), "catalog.shop");
    assert_eq!(full("*"), "*");
}

#[test]
fn an_index_finds_the_most_specific_pattern_first() {
    let mut index: HostIndex<u32> = HostIndex::default();
    assert!(index.is_empty());
    for (number, pattern) in ["*", "*.com", "*.foo.com", "a.foo.com", "b.com"]
        .iter()
        .enumerate()
    {
        *index.entry(pattern) = u32::try_from(number).unwrap();
    }
    let all = |name| index.all(name).copied().collect::<Vec<_>>();
    assert_eq!(all("a.foo.com"), [3, 2, 1, 0]);
    assert_eq!(all("foo.com"), [1, 0]);
    assert_eq!(all("*.foo.com"), [2, 1, 0]);
    assert_eq!(all("com"), [0]);
    assert_eq!(all("ä.com"), [1, 0]);
    assert_eq!(index.get("*.com"), Some(&1));
    assert_eq!(index.get("*.org"), None);
}
