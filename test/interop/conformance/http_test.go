package conformance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
}

// request asks the relay over HTTPS or HTTP without following redirects.
func (s *scene) request(method, url string, headers ...string) answer {
	s.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		s.Fatal(err)
	}
	for index := 0; index < len(headers); index += 2 {
		request.Header[headers[index]] = []string{headers[index+1]}
	}
	client := http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{TLSClientConfig: insecure(), DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer{response, string(body)}
}

func (s *scene) https(path string) string { return "https://" + s.relay.Address() + path }

func (s *scene) http(path string) string { return "http://" + s.relay.HTTPAddress() + path }

func (s *scene) expectStatus(got answer, want int) {
	s.Helper()
	if got.StatusCode != want {
		s.Errorf("%s %s is answered %s, not %d", got.Request.Method, got.Request.URL, got.Status, want)
	}
}

var probePaths = []string{"/derp/probe", "/derp/latency-check"}

func TestS69_ProbePathsAnswer(t *testing.T) {
	statement(t, 69, []string{overTLS}, func(s *scene) {
		for _, path := range probePaths {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := s.request(method, s.https(path))
				s.expectStatus(got, http.StatusOK)
				if origin := got.Header.Get("Access-Control-Allow-Origin"); origin != "*" || got.body != "" {
					s.Errorf("%s %s: allowed origin %q, body %q", method, path, origin, got.body)
				}
			}
		}
		upgrades := [][]string{nil, {"Upgrade", "h2c", "Connection", "Upgrade"}}
		if s.differs(catalogue.NeutralPages) {
			for _, headers := range upgrades {
				s.expectNeutral(s.request(http.MethodGet, s.https("/derp"), headers...))
			}
			s.expectNeutral(s.request(http.MethodGet, s.https("/no/such/page")))
			s.own(relay.Options{FullHomePage: true})
		}
		for _, headers := range upgrades {
			got := s.request(http.MethodGet, s.https("/derp"), headers...)
			s.expectStatus(got, http.StatusUpgradeRequired)
			if !strings.Contains(got.body, "DERP requires connection upgrade") {
				s.Errorf("/derp says %q", got.body)
			}
		}
		s.expectStatus(s.request(http.MethodGet, s.https("/no/such/page")), http.StatusOK)
	})
}

// expectNeutral checks that an answer does not say what kind of server gave it.
func (s *scene) expectNeutral(got answer) {
	s.Helper()
	s.expectStatus(got, http.StatusNotFound)
	if text := strings.ToLower(fmt.Sprint(got.Header, got.body)); strings.Contains(text, "derp") || strings.Contains(text, "towpath") {
		s.Errorf("%s is answered with a page that is not neutral: %s", got.Request.URL, text)
	}
}

func TestS70_PostToAProbePathIsRefused(t *testing.T) {
	statement(t, 70, []string{overTLS}, func(s *scene) {
		for _, path := range probePaths {
			got := s.request(http.MethodPost, s.https(path))
			s.expectStatus(got, http.StatusMethodNotAllowed)
			if origin := got.Header.Get("Access-Control-Allow-Origin"); origin != "" {
				s.Errorf("%s: allowed origin %q", path, origin)
			}
		}
	})
}

func TestS72_Generate204AnswersChallenges(t *testing.T) {
	statement(t, 72, []string{overAny}, func(s *scene) {
		longest := strings.Repeat("a", 64)
		responses := map[string]string{
			"input": "response input", "ts_derp99b.tailscale.com": "response ts_derp99b.tailscale.com",
			"Az09.-_:": "response Az09.-_:", longest: "response " + longest,
			"": "", longest + "a": "", "with space": "", "slash/": "", "umlaut\u00fc": "",
		}
		for _, url := range []string{s.https("/generate_204"), s.http("/generate_204?t=1"), s.http("/generate_204")} {
			for challenge, want := range responses {
				var headers []string
				if challenge != "" {
					headers = []string{"X-Tailscale-Challenge", challenge}
				}
				got := s.request(http.MethodGet, url, headers...)
				s.expectStatus(got, http.StatusNoContent)
				if response := got.Header.Get("X-Tailscale-Response"); response != want || got.body != "" {
					s.Errorf("challenge %q to %s is answered %q, body %q", challenge, url, response, got.body)
				}
				const noCache = "no-cache, no-store, must-revalidate, no-transform, max-age=0"
				if cache := got.Header.Get("Cache-Control"); cache != noCache {
					s.Errorf("Cache-Control is %q", cache)
				}
			}
		}
		s.expectNoResponseToNUL()
	})
}

// expectNoResponseToNUL sends a challenge that Go's client refuses to send. A relay may refuse the request as a whole.
func (s *scene) expectNoResponseToNUL() {
	s.Helper()
	conn, err := net.DialTimeout("tcp", s.relay.HTTPAddress(), patience)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /generate_204 HTTP/1.1\r\nHost: x\r\nX-Tailscale-Challenge: a\x00b\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(conn)
	if err != nil || len(text) == 0 {
		s.Errorf("a challenge with NUL is answered %q, %v", text, err)
	}
	if strings.Contains(strings.ToLower(string(text)), "x-tailscale-response") {
		s.Errorf("a challenge with NUL is answered %q", text)
	}
}

func TestS73_CaptivePortalQuestionIsAnswered(t *testing.T) {
	statement(t, 73, []string{overAny}, func(s *scene) {
		// The request of clients, to the address of the node, and the parts of the answer that they check.
		challenge := "ts_" + s.relay.Host
		url := s.http(fmt.Sprintf("/generate_204?t=%d", time.Now().Unix()))
		got := s.request(http.MethodGet, url, "X-Tailscale-Challenge", challenge)
		s.expectStatus(got, http.StatusNoContent)
		if response := got.Header.Get("X-Tailscale-Response"); response != "response "+challenge {
			s.Errorf("challenge %q is answered %q", challenge, response)
		}
	})
}

func TestS79_PlainHTTPRedirects(t *testing.T) {
	statement(t, 79, []string{overAny}, func(s *scene) {
		host := s.relay.HTTPAddress()
		if s.differs(catalogue.RedirectsToTLSPort) {
			host = s.relay.Address()
		}
		for _, path := range []string{"/path?a=b", "/derp/probe", "/a%20b?c=%2F&d"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := s.request(method, s.http(path))
				s.expectStatus(got, http.StatusFound)
				if location, want := got.Header.Get("Location"), "https://"+host+path; location != want {
					s.Errorf("%s %s leads to %q", method, path, location)
				}
			}
		}
	})
}

func TestS104_PlainHTTPRefusesPost(t *testing.T) {
	statement(t, 104, []string{overAny}, func(s *scene) {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			s.expectStatus(s.request(method, s.http("/path")), http.StatusBadRequest)
		}
		s.expectStatus(s.request(http.MethodPost, s.http("/generate_204")), http.StatusNoContent)
	})
}
