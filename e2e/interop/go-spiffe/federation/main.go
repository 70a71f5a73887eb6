// Another federation's server, as far as a bundle endpoint can tell: it follows the bundle of a trust domain by go-spiffe, and says what it
// gets in lines of JSON on standard output.
//
//	federation TRUST-DOMAIN URL https_spiffe ENDPOINT-ID BOOTSTRAP-BUNDLE
//	federation TRUST-DOMAIN URL https_web ROOTS-PEM
package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

func say(event string, facts map[string]any) {
	facts["event"] = event
	line, err := json.Marshal(facts)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// watcher tells of each bundle that is new, and verifies the next fetch by it.
type watcher struct{ known *spiffebundle.Set }

// NextRefresh is sooner than the endpoint asks for: whoever waits for this program is a test.
func (watcher) NextRefresh(time.Duration) time.Duration { return 500 * time.Millisecond }

func (w watcher) OnUpdate(bundle *spiffebundle.Bundle) {
	w.known.Add(bundle)
	sequence, _ := bundle.SequenceNumber()
	hint, _ := bundle.RefreshHint()
	say("bundle", map[string]any{"sequence": sequence, "refreshHintSeconds": hint.Seconds(), "roots": len(bundle.X509Authorities()), "jwtKeys": len(bundle.JWTAuthorities())})
}

func (watcher) OnError(err error) { say("error", map[string]any{"error": err.Error()}) }

func main() {
	trustDomain := spiffeid.RequireTrustDomainFromString(os.Args[1])
	known := spiffebundle.NewSet()
	var authentication federation.FetchOption
	if os.Args[3] == "https_spiffe" {
		bootstrap, err := spiffebundle.Load(trustDomain, os.Args[5])
		if err != nil {
			log.Fatal(err)
		}
		known.Add(bootstrap)
		authentication = federation.WithSPIFFEAuth(known, spiffeid.RequireFromString(os.Args[4]))
	} else {
		pem, err := os.ReadFile(os.Args[4])
		if err != nil {
			log.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		authentication = federation.WithWebPKIRoots(roots)
	}
	log.Fatal(federation.WatchBundle(context.Background(), trustDomain, os.Args[2], watcher{known}, authentication))
}
