package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "http.request", Summary: "sends a request to another system",
	Description: `
Fails with ` + "`http.status`" + ` when the status is not an expected one, ` + "`http.timeout`, `http.network`, `http.redirect`, `http.too_large`, `http.malformed`" + ` and
` + "`http.forbidden`" + ` (a private network that the installation does not allow). ` + "`error.retryable`" + ` is true for 408, 425, 429 and 5xx but 501, for timeouts and for the network;
` + "`error.data`" + ` has the status and the beginning of the body. The engine never repeats a request by itself: ` + "`retry:`" + ` does, no sooner than
the server asks by Retry-After. Requests that are not safe carry an Idempotency-Key, which is the same at each try.
Redirects are followed, with credentials only to the same origin.`,
	Example: `
- id: order
  action: http.request
  with:
    method: POST
    url: https://erp.example.com/v1/orders
    auth: { bearer: secret:erp/token }
    json: { device: "${{ device.id }}", part: panel }
    expect: [201]
    timeout: 10s
  retry: { times: 5, delay: 2s..1m }`,
}, requestHTTP))

type httpArgs struct {
	Method      string            `json:"method" enum:"GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS" default:"GET" doc:"the method"`
	URL         string            `json:"url" required:"true" max:"8000" doc:"where to, http or https, without credentials"`
	Headers     map[string]string `json:"headers" doc:"headers to send; credentials belong into auth"`
	Query       map[string]any    `json:"query" doc:"query parameters to add: texts, numbers, booleans or lists of them"`
	JSON        json.RawMessage   `json:"json" doc:"the body, sent as JSON"`
	Body        string            `json:"body" max:"1048576" doc:"the body, sent as it is; instead of json"`
	Auth        *httpAuth         `json:"auth" doc:"credentials: one of bearer, basic and header"`
	Expect      []int             `json:"expect" max:"50" doc:"the statuses that are a success; left out: 200 to 299"`
	Timeout     Duration          `json:"timeout" default:"20s" doc:"how long one try may take, up to its last byte"`
	MaxResponse int               `json:"max_response" default:"65536" min:"1024" max:"8000000" doc:"the largest body to accept, in bytes; of more than 64 KiB, what is large is stored beside the run"`
}

type httpAuth struct {
	Bearer string      `json:"bearer" secret:"true" doc:"a token, sent as Authorization: Bearer"`
	Basic  *basicAuth  `json:"basic" doc:"a user and a password"`
	Header *headerAuth `json:"header" doc:"a header of the server's own, such as X-Api-Key"`
}

type basicAuth struct {
	Username string `json:"username" required:"true" doc:"the user"`
	Password string `json:"password" required:"true" secret:"true" doc:"the password"`
}

type headerAuth struct {
	Name  string `json:"name" required:"true" doc:"the name of the header"`
	Value string `json:"value" required:"true" secret:"true" doc:"its value"`
}

type httpOutput struct {
	Status  int               `json:"status" doc:"the status"`
	Headers map[string]string `json:"headers" doc:"the headers, with small letters"`
	JSON    any               `json:"json" doc:"the body, if it is JSON"`
	Body    string            `json:"body" doc:"the body, if it is no JSON"`
}

func requestHTTP(ctx context.Context, c *Call, args httpArgs) (httpOutput, error) {
	request, err := args.request(c.ID)
	if err == nil {
		err = args.Auth.apply(ctx, c, request)
	}
	if err != nil {
		return httpOutput{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(args.Timeout))
	defer cancel()
	response, err := c.client.Send(ctx, request, args.Auth != nil)
	if err != nil {
		return httpOutput{}, networkFailure(err)
	}
	defer response.Body.Close()
	return args.judge(c, response)
}

// request makes the request without credentials. EINVALID says what of the
// arguments cannot be sent.
func (a *httpArgs) request(effect string) (*http.Request, error) {
	address, err := a.address()
	if err != nil {
		return nil, err
	}
	body, contentType, err := a.body()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(a.Method, address, bytes.NewReader(body))
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "this cannot be requested: %w", err)
	}
	if len(body) == 0 {
		request.Body, request.GetBody = http.NoBody, nil
	}
	request.Header.Set("User-Agent", "DeviceOps")
	setIfAny(request.Header, "Content-Type", contentType)
	if a.Method == http.MethodPost || a.Method == http.MethodPatch || a.Method == http.MethodPut || a.Method == http.MethodDelete {
		request.Header.Set("Idempotency-Key", effect)
	}
	for name, value := range a.Headers {
		if ownedHeaders[http.CanonicalHeaderKey(name)] {
			return nil, deviceops.Errorf(deviceops.EINVALID, "the header %s cannot be set: it follows from the request", name)
		}
		request.Header.Set(name, value)
	}
	return request, nil
}

// ownedHeaders say how a message is framed and to whom it goes.
var ownedHeaders = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Te": true, "Trailer": true, "Upgrade": true,
	"Proxy-Authorization": true, "Proxy-Connection": true, "Accept-Encoding": true,
}

func setIfAny(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

func (a *httpArgs) address() (string, error) {
	address, err := url.Parse(a.URL)
	switch {
	case err != nil, address.Scheme != "http" && address.Scheme != "https", address.Hostname() == "":
		return "", deviceops.Errorf(deviceops.EINVALID, "url must be an address such as https://erp.example.com/v1/orders")
	case address.User != nil:
		return "", deviceops.Errorf(deviceops.EINVALID, "url must not hold credentials: give them as a reference, auth: { basic: { username: ..., password: secret:... } }")
	}
	query := address.Query()
	for name, value := range a.Query {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, item := range list {
			text, err := queryText(item)
			if err != nil {
				return "", deviceops.Errorf(deviceops.EINVALID, "the query parameter %s: %w", name, err)
			}
			query.Add(name, text)
		}
	}
	if len(a.Query) > 0 {
		address.RawQuery = query.Encode()
	}
	return address.String(), nil
}

func queryText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, float64:
		text, err := json.Marshal(v)
		return string(text), err
	default:
		return "", deviceops.Errorf(deviceops.EINVALID, "it must be text, a number, a boolean or a list of them")
	}
}

func (a *httpArgs) body() (body []byte, contentType string, err error) {
	switch {
	case a.JSON != nil && a.Body != "":
		return nil, "", deviceops.Errorf(deviceops.EINVALID, "a request has json or body, not both")
	case (a.JSON != nil || a.Body != "") && (a.Method == http.MethodGet || a.Method == http.MethodHead):
		return nil, "", deviceops.Errorf(deviceops.EINVALID, "a request with %s has no body; set method", a.Method)
	case a.JSON != nil:
		return a.JSON, "application/json", nil
	case a.Body != "":
		return []byte(a.Body), "text/plain; charset=utf-8", nil
	default:
		return nil, "", nil
	}
}

// apply puts credentials into the request.
func (a *httpAuth) apply(ctx context.Context, c *Call, request *http.Request) error {
	if a == nil {
		return nil
	}
	if err := a.check(); err != nil {
		return err
	}
	name, reference := "Authorization", a.Bearer
	switch {
	case a.Basic != nil:
		reference = a.Basic.Password
	case a.Header != nil:
		name, reference = a.Header.Name, a.Header.Value
	}
	secret, err := c.Secret(ctx, reference)
	switch {
	case err != nil:
		return err
	case a.Basic != nil:
		request.SetBasicAuth(a.Basic.Username, secret)
	case a.Bearer != "":
		request.Header.Set(name, "Bearer "+secret)
	default:
		request.Header.Set(name, secret)
	}
	if strings.ContainsAny(request.Header.Get(name), "\r\n\x00") {
		return deviceops.Errorf(deviceops.EINVALID, "the secret %s has several lines, which no header can hold", reference)
	}
	return nil
}

func (a *httpAuth) check() error {
	given := 0
	for _, is := range []bool{a.Bearer != "", a.Basic != nil, a.Header != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		return deviceops.Errorf(deviceops.EINVALID, "auth is one of bearer, basic and header")
	}
	if a.Header != nil && ownedHeaders[http.CanonicalHeaderKey(a.Header.Name)] {
		return deviceops.Errorf(deviceops.EINVALID, "the header %s cannot carry credentials", a.Header.Name)
	}
	return nil
}
