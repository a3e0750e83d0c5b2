package release

import (
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/siderolabs/talos/internal/pkg/containers/image"
	"github.com/siderolabs/talos/internal/pkg/containers/image/verify"
)

// released are the images of a release: the variable with the name, the layout, and what the name is in the documents.
var released = []struct{ variable, layout, documented string }{
	{"RELEASE_EXTENSION", "extension", "talos-vmtoolsd-extension"},
	{"RELEASE_RUNTIME", "runtime", "talos-vmtoolsd"},
}

func TestTalosTakesTheSignatures(t *testing.T) {
	for _, released := range released {
		name, built := variable(t, released.variable), builtImage(t, released.layout)
		repository := strings.TrimSuffix(name, name[strings.LastIndex(name, ":"):])
		node := startNode(t, withKey(t, name, key(t, "RELEASE_KEY")))

		taken := func(part, name, digest string) {
			t.Run(released.layout+" "+part, func(t *testing.T) {
				verdict, err := node.verify(t, name)
				if err != nil {
					t.Fatal(err)
				}

				if want := repository + "@" + digest; !verdict.Verified || verdict.DigestedImageRef != want {
					t.Errorf("want %s to be verified, got %v", want, verdict)
				}

				t.Log(verdict.Message)
			})
		}

		taken("by tag", name, built.index.String())
		taken("by digest", repository+"@"+built.index.String(), built.index.String())

		for _, architecture := range architectures {
			digest := digestOf(t, built.images[architecture]).String()
			taken("for "+architecture, repository+"@"+digest, digest)
		}
	}
}

// The public log and the certificates are not here, so what is judged is how the page's rule becomes the node's, and
// whom it lets sign.
func TestTalosTakesTheRuleOfTheDocuments(t *testing.T) {
	provider := ofPage(t)
	node := startNode(t, provider)

	matcher, err := verify.NewRuleMatcher(deadline(t), node.state)
	if err != nil {
		t.Fatal(err)
	}

	said := identity.FindStringSubmatch(ofRepository(t, page))
	if said == nil {
		t.Fatalf("%s does not say who signs", page)
	}

	issuer, signer := said[1], said[2]

	for _, released := range released {
		name := registryOfDocuments(t) + "/" + released.documented

		rule, err := matcher(name + ":v2.0.0")
		if err != nil || rule == nil {
			t.Fatalf("no rule for %s: %v", name, err)
		}

		keyless := rule.TypedSpec().KeylessVerifier
		if keyless == nil {
			t.Fatalf("the rule for %s is not keyless", name)
		}

		want := verification(t, provider).ConfigRules[0].RuleKeylessVerifier
		if keyless.Issuer != want.KeylessIssuer || keyless.Subject != want.KeylessSubject || keyless.SubjectRegex != want.KeylessSubjectRegex {
			t.Errorf("%s: want %v, got %v", name, want, keyless)
		}

		expected, err := sigstore.NewShortCertificateIdentity(keyless.Issuer, "", keyless.Subject, keyless.SubjectRegex)
		if err != nil {
			t.Fatal(err)
		}

		for _, certificate := range []struct {
			issuer, signer string
			taken          bool
		}{
			{issuer, signer, true},
			{"https://issuer.invalid", signer, false},
			{issuer, strings.Replace(signer, "/talos-vmtoolsd/", "/talos-vmtoolsd-too/", 1), false},
			{issuer, strings.Replace(signer, "/release.yml@", "/ci.yml@", 1), false},
			{issuer, strings.Replace(signer, "refs/tags/", "refs/heads/", 1), false},
			{issuer, "https://elsewhere.invalid/" + signer, false},
		} {
			err := expected.Verify(summary(certificate.issuer, certificate.signer))
			if (err == nil) != certificate.taken {
				t.Errorf("%s: a certificate of %s for %s: %v", name, certificate.issuer, certificate.signer, err)
			}
		}
	}

	for _, name := range []string{"registry.example/talos-vmtoolsd", registryOfDocuments(t) + "/other"} {
		if rule, err := matcher(name + ":v2.0.0"); err != nil || rule != nil {
			t.Errorf("a rule for %s: %v %v", name, rule, err)
		}
	}
}

func summary(issuer, signer string) certificate.Summary {
	return certificate.Summary{SubjectAlternativeName: signer, Extensions: certificate.Extensions{Issuer: issuer}}
}

func TestTalosTakesNoOtherKey(t *testing.T) {
	for _, released := range released {
		name := variable(t, released.variable)
		refused(t, startNode(t, withKey(t, name, key(t, "RELEASE_OTHER_KEY"))), name)
	}
}

func TestTalosTakesNothingThatARuleDenies(t *testing.T) {
	for _, released := range released {
		name := variable(t, released.variable)
		refused(t, startNode(t, thatDenies(t, name)), name)
	}
}

// Images that are not what was signed, or that were not signed.
func TestTalosRefuses(t *testing.T) {
	for _, name := range strings.Fields(variable(t, "RELEASE_ALTERED")) {
		t.Run(name, func(t *testing.T) {
			// Otherwise it is refused because it is not there.
			if _, _, err := image.NewResolver(registries(t)).Resolve(deadline(t), name); err != nil {
				t.Fatal(err)
			}

			refused(t, startNode(t, withKey(t, name, key(t, "RELEASE_KEY"))), name)
		})
	}
}

// refused fails unless the node knows the image and does not let it in.
func refused(t *testing.T, node node, name string) {
	t.Helper()

	verdict, err := node.verify(t, name)
	if err == nil {
		t.Errorf("%s is let in: %v", name, verdict)
	} else if status.Code(err) != codes.PermissionDenied {
		t.Errorf("%s is not refused, but fails: %v", name, err)
	}

	t.Log(err)
}
