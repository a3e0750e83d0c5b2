//! The images of containers, namespace by namespace.

use crate::inquiry::Software;
use crate::vmware::wire::text::line;

/// Images of one namespace (CONTAINERINFO_DEFAULT_CONTAINER_MAX).
const MOST: usize = 256;
/// Longest reference of an image, in bytes: a name has up to 255, a tag 128, a digest 71.
const LONGEST: usize = 512;

/// Namespaces with their images, both as they come; each image once.
pub(super) fn of(software: &Software) -> Vec<(String, Vec<String>)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for container in &software.containers {
        let (namespace, image) = (&container.namespace, line(&container.image, LONGEST));
        if image.is_empty() {
            continue;
        }
        match rows.iter_mut().find(|(known, _)| known == namespace) {
            None => rows.push((namespace.clone(), vec![image])),
            Some((_, images)) if images.len() < MOST && !images.contains(&image) => {
                images.push(image);
            }
            Some(_) => {}
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inquiry::Container;

    #[test]
    fn each_image_once_and_no_more_than_256_in_a_namespace() {
        let container = |namespace: &str, image: &str| Container {
            namespace: namespace.into(),
            id: "any".into(),
            image: image.into(),
        };
        let mut software = Software {
            containers: vec![
                container("system", "etcd:v3"),
                container("k8s.io", "pause:3.10"),
                container("k8s.io", ""),
                container("k8s.io", "pause:3.10"),
                container("system", "kubelet:v1"),
            ],
            ..Software::default()
        };
        let named = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            of(&software),
            [
                ("system".to_owned(), named(&["etcd:v3", "kubelet:v1"])),
                ("k8s.io".to_owned(), named(&["pause:3.10"])),
            ]
        );
        software.containers = (0..300)
            .map(|n| container("k8s.io", &format!("i:{n}")))
            .collect();
        assert_eq!(of(&software)[0].1.len(), MOST);
    }
}
