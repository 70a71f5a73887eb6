// An application that knows nothing of Atoll: it takes its identity from the socket that SPIFFE_ENDPOINT_SOCKET names, by go-spiffe, opens
// mutual TLS by it, and asks for and takes tokens. It says what happens in lines of JSON on standard output, and does what it is told on standard input.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

var printing sync.Mutex

func say(event string, facts map[string]any) {
	facts["event"] = event
	line, err := json.Marshal(facts)
	if err != nil {
		log.Fatal(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(line))
}

// watcher tells of each update of the Workload API.
type watcher struct{}

func (watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	svid := update.DefaultSVID()
	domains := []string{}
	for _, bundle := range update.Bundles.Bundles() {
		domains = append(domains, bundle.TrustDomain().Name())
	}
	sort.Strings(domains)
	say("identity", map[string]any{"id": svid.ID.String(), "serial": svid.Certificates[0].SerialNumber.Text(16), "domains": domains})
}

func (watcher) OnX509ContextWatchError(err error) {
	say("watchError", map[string]any{"error": err.Error()})
}

func main() {
	ctx := context.Background()
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := workloadapi.NewJWTSource(ctx)
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(workloadapi.WatchX509Context(ctx, watcher{})) }()
	go serve(source)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "call":
			call(source, words[1], words[2], words[3])
		case "token":
			svid, err := tokens.FetchJWTSVID(ctx, jwtsvid.Params{Audience: words[1]})
			tell(svid, err)
		case "parse":
			svid, err := jwtsvid.ParseAndValidate(words[2], tokens, []string{words[1]})
			tell(svid, err)
		case "validate":
			svid, err := workloadapi.ValidateJWTSVID(ctx, words[2], words[1])
			tell(svid, err)
		}
	}
}

// tell says whom a token proves, or why it proves nobody.
func tell(svid *jwtsvid.SVID, err error) {
	if err != nil {
		say("token", map[string]any{"error": err.Error()})
		return
	}
	say("token", map[string]any{"id": svid.ID.String(), "audience": svid.Audience, "token": svid.Marshal()})
}

// serve answers whoever proves an identity of a trust domain that it was given roots of, and says who that was.
func serve(source *workloadapi.X509Source) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	say("serving", map[string]any{"address": listener.Addr().String()})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := spiffetls.PeerIDFromConnectionState(*r.TLS)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "hello %s", peer)
	})
	// What callers do wrong in their handshakes is theirs to say.
	server := http.Server{Handler: handler, TLSConfig: tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeAny()), ErrorLog: log.New(io.Discard, "", 0)}
	log.Fatal(server.ServeTLS(listener, "", ""))
}

// call asks the server at address, which must prove the identity expected, under the name that TLS tells it.
func call(source *workloadapi.X509Source, address, serverName, expected string) {
	config := tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(spiffeid.RequireFromString(expected)))
	config.ServerName = serverName
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := client.Get("https://" + address + "/")
	if err != nil {
		say("answer", map[string]any{"error": err.Error()})
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		say("answer", map[string]any{"error": err.Error()})
		return
	}
	say("answer", map[string]any{"status": response.StatusCode, "body": string(body)})
}
