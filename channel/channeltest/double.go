// Package channeltest has doubles of the systems that the shipped channels speak
// to. Each answers as the API's documentation says, refuses what the real one
// would, and remembers what it was asked.
package channeltest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Ticket is a ticket as a double keeps it.
type Ticket struct {
	ID       string
	Ours     string // our id, where the system has a place for it
	Title    string
	Body     string
	Severity string
	Status   string // in the words of the system
	Comments []string
}

// System is a double of another system.
type System struct {
	URL    string
	Secret string // what it knows requests by
	Key    string // by which it signs what it sends

	// News makes the message by which the system tells of a ticket: its status,
	// and a comment if it is not empty.
	News func(t Ticket, comment, by string) (http.Header, []byte)

	t         testing.TB
	mux       *http.ServeMux
	authentic func(r *http.Request, body []byte) bool
	denied    any // the body of a 401

	mu       sync.Mutex
	tickets  map[string]*Ticket
	calls    []string
	keys     map[string]int // how often an Idempotency-Key was seen
	refusals []refusal
}

type refusal struct {
	status     int
	retryAfter string
}

// call is one request that was let in.
type call struct {
	*http.Request
	body map[string]any // JSON; nil: none
}

// Secrets of all doubles.
const (
	Secret     = "s3cr3t-of-the-api"
	WebhookKey = "k3y-of-the-webhook"
)

func newSystem(t testing.TB) *System {
	s := &System{t: t, mux: http.NewServeMux(), Secret: Secret, Key: WebhookKey, tickets: map[string]*Ticket{}, keys: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func (s *System) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	s.keys[r.Header.Get("Idempotency-Key")]++
	var next refusal
	if len(s.refusals) > 0 {
		next, s.refusals = s.refusals[0], s.refusals[1:]
	}
	s.mu.Unlock()
	if next.status != 0 {
		if next.retryAfter != "" {
			w.Header().Set("Retry-After", next.retryAfter)
		}
		reply(w, next.status, map[string]any{"message": "not now"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// handle answers one route of the API, for those who are authentic.
func (s *System) handle(pattern string, answer func(call) (int, any)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			s.t.Error(err)
		}
		if !s.authentic(r, raw) {
			reply(w, http.StatusUnauthorized, s.denied)
			return
		}
		c := call{Request: r}
		if len(raw) > 0 {
			if r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(raw, &c.body) != nil {
				reply(w, http.StatusUnsupportedMediaType, map[string]any{"message": "this is no JSON"})
				return
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		status, body := answer(c)
		reply(w, status, body)
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

// Refuse has the next request refused, whatever it is.
func (s *System) Refuse(status int, retryAfter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, refusal{status, retryAfter})
}

// Calls gives the requests so far, as "POST /path", and forgets them.
func (s *System) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// Tickets gives all tickets, by id.
func (s *System) Tickets() []Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Ticket
	for _, id := range slices.Sorted(maps.Keys(s.tickets)) {
		t := *s.tickets[id]
		t.Comments = slices.Clone(t.Comments)
		all = append(all, t)
	}
	return all
}

// Move gives a ticket another status, as somebody would who works there.
func (s *System) Move(id, status string) Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tickets[id].Status = status
	return *s.tickets[id]
}

// Send tells another server of a ticket and gives the status of its answer.
func (s *System) Send(to string, t Ticket, comment, by string) int {
	header, body := s.News(t, comment, by)
	request, err := http.NewRequest(http.MethodPost, to, bodyReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// add keeps a new ticket under the next number.
func (s *System) add(prefix string, t Ticket) *Ticket {
	t.ID = prefix + strconv.Itoa(len(s.tickets)+1)
	s.tickets[t.ID] = &t
	return &t
}

// ours finds the ticket that has an id of ours.
func (s *System) ours(id string) *Ticket {
	for _, t := range s.tickets {
		if t.Ours == id {
			return t
		}
	}
	return nil
}

// at digs into JSON; "" for what is not there.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

func text(v any, path ...any) string {
	s, _ := at(v, path...).(string)
	return s
}

func (s *System) hexHMAC(body []byte) string {
	mac := hmac.New(sha256.New, []byte(s.Key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *System) base64HMAC(parts ...string) string {
	mac := hmac.New(sha256.New, []byte(s.Key))
	for _, part := range parts {
		mac.Write([]byte(part))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// basic lets those in who know a user and the secret.
func (s *System) basic(user string) func(*http.Request, []byte) bool {
	return func(r *http.Request, _ []byte) bool {
		name, password, ok := r.BasicAuth()
		return ok && name == user && password == s.Secret
	}
}

func (s *System) bearer(r *http.Request, _ []byte) bool {
	return r.Header.Get("Authorization") == "Bearer "+s.Secret
}

// jsonNews makes the header and body of a message in JSON.
func jsonNews(v any) (http.Header, []byte) {
	body, _ := json.Marshal(v) // it is made of plain values
	return http.Header{"Content-Type": {"application/json"}}, body
}
