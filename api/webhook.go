package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
)

// webhookService lets other systems call automations.
type webhookService struct{ *core }

// webhookRoutes have no token: each message proves by itself where it comes from.
func (s *server) webhookRoutes(mux *http.ServeMux, w webhookService) {
	const path = "/v1/webhooks/{name}"
	mux.HandleFunc("POST "+path, w.call)
	mux.HandleFunc("OPTIONS "+path, allowCloudEvents)
	r := route{
		id: "call-webhook", method: http.MethodPost, path: path,
		summary: "Call the automations whose trigger is this webhook",
		about: "The body is a CloudEvent (binary, structured or batched mode) or what the caller likes: event.data of the automation. Instead of a token the message " +
			"is signed as the automation says; where it says nothing, by the headers " + deviceops.TimestampHeader + " (Unix seconds) and " + deviceops.SignatureHeader +
			" (sha256= and the HMAC in hex of the timestamp, a dot and the body). A message that comes again, by the source and id of a CloudEvent or the header " +
			"Idempotency-Key, starts nothing more and is answered as before.\n\nNeeds no token.",
	}
	op := r.operation()
	op.Description = r.about
	op.Metadata = nil
	op.Security = []map[string][]string{} // none
	op.Parameters = []*huma.Param{
		{Name: "name", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}},
		{Name: "account", In: "query", Description: "Of the automations. Default: the root account", Schema: &huma.Schema{Type: huma.TypeString}},
	}
	anything := &huma.MediaType{Schema: &huma.Schema{}}
	op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{
		"application/json": anything, "application/cloudevents+json": anything, "application/cloudevents-batch+json": anything,
	}}
	op.Responses["202"] = &huma.Response{Description: "Stored, with what was decided", Content: map[string]*huma.MediaType{"application/json": anything}}
	s.huma.OpenAPI().AddOperation(&op)
}

// allowCloudEvents answers systems that ask, before they send CloudEvents, whether
// they may. Whether a message is taken is decided by its signature.
func allowCloudEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "POST, OPTIONS")
	if origin := r.Header.Get("WebHook-Request-Origin"); origin != "" {
		w.Header().Set("WebHook-Allowed-Origin", origin)
		w.Header().Set("WebHook-Allowed-Rate", "*")
	}
}

// webhookAnswer is what the caller is told. It says nothing of conditions.
type webhookAnswer struct {
	Event       int64             `json:"event"`
	Automations []webhookDecision `json:"automations"`
}

type webhookDecision struct {
	Name    string                      `json:"name"`
	Outcome deviceops.AutomationOutcome `json:"outcome"`
	Run     string                      `json:"run,omitempty"`
}

func (s webhookService) call(w http.ResponseWriter, r *http.Request) {
	body, err := readHook(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answers, batch, err := s.hear(r, body)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	var said any = page[webhookAnswer]{Items: answers}
	if !batch {
		said = answers[0]
	}
	_ = json.NewEncoder(w).Encode(said) // the caller may be gone
}

func (s webhookService) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problem(r.Context(), err)
	if errors.Is(err, errHookSize) {
		p = newProblem(http.StatusRequestEntityTooLarge, deviceops.EINVALID, deviceops.ErrorMessage(err))
	}
	writeProblem(w, p)
}

// errHookSize is the cause where a message is larger than maxHook.
var errHookSize = errors.New("too large")

// readHook reads the message of another system.
func readHook(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, deviceops.Errorf(deviceops.EINVALID, "the message has more than %d bytes: %w", maxHook, errHookSize)
	case err != nil:
		return nil, deviceops.Errorf(deviceops.EINVALID, "the message cannot be read: %w", err)
	}
	return body, nil
}

// hookAccount gives the account that a message is for.
func hookAccount(r *http.Request) string {
	if account := r.URL.Query().Get("account"); account != "" {
		return account
	}
	return deviceops.RootAccount
}

// hear lets the automations hear the message whom it proves where it comes from.
func (s webhookService) hear(r *http.Request, body []byte) (answers []webhookAnswer, batch bool, err error) {
	account, name := hookAccount(r), r.PathValue("name")
	to, err := s.callees(r, account, name, body)
	if err != nil {
		return nil, false, err
	}
	m := hookMessage{header: r.Header, body: body, name: name, webhook: to[0].Webhook, at: s.Now()}
	events, batch, err := m.events(r.Context())
	if err != nil {
		return nil, false, err
	}
	for i := range events {
		events[i].Account = account
		for _, a := range to {
			events[i].Call.To = append(events[i].Call.To, a.Name)
		}
	}
	said, err := s.Automations.Call(r.Context(), events)
	if err != nil {
		return nil, false, err
	}
	for _, one := range said {
		answers = append(answers, told(one))
	}
	return answers, batch, nil
}

func told(a deviceops.CallAnswer) webhookAnswer {
	answer := webhookAnswer{Event: a.Event, Automations: []webhookDecision{}}
	for _, d := range a.Automations {
		answer.Automations = append(answer.Automations, webhookDecision{d.Name, d.Outcome, d.Run})
	}
	return answer
}

// callees gives the automations with this webhook that believe the message. That
// all are disabled is told only to somebody whom they believe.
func (s webhookService) callees(r *http.Request, account, name string, body []byte) ([]*deviceops.Automation, error) {
	if s.Automations == nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "this process hears no webhooks")
	}
	all, off := s.Automations.Called(r.Context(), account, deviceops.Call{Kind: deviceops.CallWebhook, Name: name})
	if len(all) == 0 {
		return nil, off
	}
	var believe []*deviceops.Automation
	var refused error
	for _, a := range all {
		err := s.verify(r, a, body)
		switch {
		case err == nil:
			believe = append(believe, a)
		case refused == nil || deviceops.ErrorCode(err) == deviceops.EUNAVAILABLE:
			refused = err
		}
	}
	if len(believe) == 0 {
		return nil, refused
	}
	return believe, off
}

// verify checks where a message comes from. That a secret is missing is told to
// the operator, in the log, and not to the caller.
func (s webhookService) verify(r *http.Request, a *deviceops.Automation, body []byte) error {
	secret := func(reference string) (string, error) { return s.secret(r.Context(), a, reference) }
	return a.Webhook.Proof.Verify("webhook "+a.Webhook.Name, r.Header, body, s.Now(), secret)
}

func (s webhookService) secret(ctx context.Context, a *deviceops.Automation, reference string) (string, error) {
	if s.Secrets == nil {
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "this process has no secrets, by which the message could be verified")
	}
	value, err := s.Secrets.Secret(ctx, a.Account, reference)
	switch deviceops.ErrorCode(err) {
	case "", deviceops.EUNAVAILABLE:
		return value, err
	}
	s.Log.WarnContext(ctx, "a webhook cannot be verified", "automation", a.Name, "account", a.Account, "secret", reference, "error", err)
	return "", nil
}
