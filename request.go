package deviceops

import (
	"slices"
	"strings"
	"time"
)

// The requests of this file are what people and programs ask of the API; they
// are here because the API, its client and the pages share them.

// RegisterRequest asks to register a device. Only id and profile are needed:
// the account is else the caller's own, the serial the id.
type RegisterRequest struct {
	ID         string            `json:"id" doc:"Unique in the installation: 1 to 128 of A-Z a-z 0-9 . _ : -" example:"kiosk-0001"`
	Account    string            `json:"account,omitempty" doc:"Default: the caller's account"`
	Serial     string            `json:"serial,omitempty" doc:"Unique per account and profile. Default: the id"`
	Profile    string            `json:"profile" example:"kiosk"`
	Claim      string            `json:"claim,omitempty" doc:"The secret that the device presents at its first hello; only its hash is kept"`
	Parent     string            `json:"parent,omitempty" doc:"The gateway through which it is reached"`
	Tags       []string          `json:"tags,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Attributes map[string]any    `json:"attributes,omitempty"`
	Zone       string            `json:"zone,omitempty" doc:"IANA time zone" example:"Europe/Berlin"`
	Place      *Place            `json:"place,omitempty"`
	Reason     string            `json:"reason,omitempty"`
}

// reservedIDs cannot be registered: they are words in the paths of the API.
var reservedIDs = []string{"stats"}

// Registration checks the request and gives it as the store takes it: defaults
// filled in, tags sorted, the claim hashed. EINVALID names the field.
func (r RegisterRequest) Registration(account string) (Registration, error) {
	if r.Account == "" {
		r.Account = account
	}
	if r.Serial == "" {
		r.Serial = r.ID
	}
	if err := r.check(); err != nil {
		return Registration{}, err
	}
	return Registration{
		ID: r.ID, Account: r.Account, Serial: r.Serial, Profile: r.Profile, Parent: r.Parent,
		Tags: TagSet(r.Tags, nil, nil), Labels: r.Labels, Attributes: r.Attributes, Zone: r.Zone, Place: r.Place,
		ClaimHash: HashClaim(r.ID, r.Claim),
	}, nil
}

func (r RegisterRequest) check() error {
	switch {
	case !ValidID(r.ID):
		return Errorf(EINVALID, "id %q: use 1 to %d of A-Z, a-z, 0-9 and . _ : -", r.ID, MaxIDLength)
	case slices.Contains(reservedIDs, r.ID):
		return Errorf(EINVALID, "id %q is a word of the API; choose another", r.ID)
	case !ValidAccount(r.Account):
		return Errorf(EINVALID, "account %q: use a path such as acme/emea", r.Account)
	case !ValidID(r.Profile):
		return Errorf(EINVALID, "profile %q: name the profile of the device", r.Profile)
	case len(r.Serial) > MaxIDLength:
		return Errorf(EINVALID, "serial: %d bytes are more than %d", len(r.Serial), MaxIDLength)
	case r.Parent != "" && !ValidID(r.Parent):
		return Errorf(EINVALID, "parent %q is no device id", r.Parent)
	case r.Parent == r.ID:
		return Errorf(EINVALID, "parent: device %s cannot be its own gateway", r.ID)
	}
	if err := checkTags(r.Tags); err != nil {
		return err
	}
	return r.Place.check()
}

func (p *Place) check() error {
	if p != nil && (p.Latitude < -90 || p.Latitude > 90 || p.Longitude < -180 || p.Longitude > 180) {
		return Errorf(EINVALID, "place %g, %g: latitude is -90..90, longitude -180..180", p.Latitude, p.Longitude)
	}
	return nil
}

func checkTags(tags []string) error {
	for _, tag := range tags {
		if strings.TrimSpace(tag) == "" || len(tag) > MaxIDLength || strings.ContainsAny(tag, ",;\n") {
			return Errorf(EINVALID, "tag %q: use 1 to %d characters without comma, semicolon or line break", tag, MaxIDLength)
		}
	}
	return nil
}

// TagSet gives tags plus add minus remove: sorted, each once.
func TagSet(tags, add, remove []string) []string {
	set := slices.DeleteFunc(slices.Concat(tags, add), func(tag string) bool { return slices.Contains(remove, tag) })
	slices.Sort(set)
	return slices.Compact(set)
}

// TagRequest asks to change the tags of a device.
type TagRequest struct {
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

// Check reports EINVALID when a tag cannot be one, or when nothing is asked.
func (r TagRequest) Check() error {
	if len(r.Add)+len(r.Remove) == 0 {
		return Errorf(EINVALID, "name tags to add or to remove")
	}
	return checkTags(r.Add)
}

// TransitionRequest asks to move a device to another state.
type TransitionRequest struct {
	To     State  `json:"to" example:"maintenance"`
	Reason string `json:"reason,omitempty"`
}

// CommandRequest asks to send a command to a device.
type CommandRequest struct {
	Name     string         `json:"name" example:"reboot"`
	Args     map[string]any `json:"args,omitempty"`
	TimeoutS float64        `json:"timeout_s,omitempty" minimum:"0" doc:"Seconds until the command expires. Default: the profile's, else 900"`
	Reason   string         `json:"reason,omitempty"`
}

// RunRequest asks to run a workflow.
type RunRequest struct {
	Workflow string         `json:"workflow" doc:"Name, or name@version; without a version the newest" example:"reboot-with-approval@3"`
	Inputs   map[string]any `json:"inputs,omitempty"`
	Device   string         `json:"device,omitempty" doc:"The default device of the steps; also given as the input named device if there is one"`
	Account  string         `json:"account,omitempty" doc:"Where the workflow is looked up. Default: the account of the device, else the caller's"`
	Reason   string         `json:"reason,omitempty"`
}

// DecideRequest answers an approval.
type DecideRequest struct {
	Approve bool           `json:"approve"`
	Comment string         `json:"comment,omitempty" doc:"Kept by the run and the audit log; an approval may demand one"`
	Form    map[string]any `json:"form,omitempty" doc:"The fields of the approval's form_schema; those with a default may be left out"`
}

// DelegateRequest hands an approval on.
type DelegateRequest struct {
	To     []string `json:"to" minItems:"1" doc:"Who is asked besides: role:ROLE or user:NAME" example:"[\"user:maria\"]"`
	Reason string   `json:"reason,omitempty"`
}

// BreakGlassRequest approves in an emergency.
type BreakGlassRequest struct {
	Reason string         `json:"reason,omitempty" doc:"Why it cannot wait for those who are asked; X-Reason does as well"`
	Form   map[string]any `json:"form,omitempty" doc:"As in a decision"`
}

// ApplyRequest asks to publish the documents of several files, together.
type ApplyRequest struct {
	Files []ApplyFile `json:"files"`
}

// ApplyFile is a YAML file of one or more documents.
type ApplyFile struct {
	Name   string `json:"name"` // for diagnostics
	Source string `json:"source"`
}

// AccountRequest asks for an account below one that exists.
type AccountRequest struct {
	Path   string `json:"path" example:"acme/emea/stores"`
	Name   string `json:"name,omitempty" doc:"For people. Default: the last part of the path"`
	Reason string `json:"reason,omitempty"`
}

// ReleaseRequest asks to create a release. Components without a url name content
// that was uploaded before.
type ReleaseRequest struct {
	Project       string                `json:"project" example:"kiosk-os"`
	Version       string                `json:"version" example:"2.4.0"`
	Notes         string                `json:"notes,omitempty" maxLength:"20000"`
	Components    []ComponentRequest    `json:"components,omitempty"`
	Configuration map[string]any        `json:"configuration,omitempty"`
	Requires      map[string]Constraint `json:"requires,omitempty" doc:"By component, what a device must run before: >=3"`
	From          Constraint            `json:"from,omitempty" doc:"What a device may come from: >=2.2 <2.4"`
	Irreversible  bool                  `json:"irreversible,omitempty" doc:"A device cannot go back to what it came from"`
	Downgrade     bool                  `json:"downgrade,omitempty" doc:"It may take devices to lower versions"`
	Signature     string                `json:"signature,omitempty" doc:"The author's, base64"`
	Signer        string                `json:"signer,omitempty" doc:"Id of the key that signed"`
	Reason        string                `json:"reason,omitempty"`
}

// ComponentRequest says what a component of a release is.
type ComponentRequest struct {
	Name      string `json:"name" example:"os"`
	Kind      string `json:"kind,omitempty" doc:"os, firmware, app, config or model. Default: the name if it is one of these, else app"`
	Version   string `json:"version,omitempty" doc:"Default: the release's"`
	URL       string `json:"url,omitempty" doc:"Where it lies outside the installation. Default: it was uploaded"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size,omitempty" doc:"Bytes. Default: of what was uploaded"`
	Signature string `json:"signature,omitempty"`
	Order     int    `json:"order,omitempty" doc:"Lower ones are installed first"`
	Group     string `json:"group,omitempty" doc:"Components of a group activate and revert together"`
}

// Release gives the release that is asked for, normalized.
func (r ReleaseRequest) Release() Release {
	release := Release{
		Project: r.Project, Version: r.Version, Notes: r.Notes, Configuration: r.Configuration, Requires: r.Requires, From: r.From,
		Reversible: !r.Irreversible, Downgrade: r.Downgrade, Signature: r.Signature, Signer: r.Signer,
	}
	for _, c := range r.Components {
		release.Components = append(release.Components, Component(c))
	}
	release.Normalize()
	return release
}

// Request gives what asks for this very release.
func (r *Release) Request() ReleaseRequest {
	request := ReleaseRequest{
		Project: r.Project, Version: r.Version, Notes: r.Notes, Configuration: r.Configuration, Requires: r.Requires, From: r.From,
		Irreversible: !r.Reversible, Downgrade: r.Downgrade, Signature: r.Signature, Signer: r.Signer,
	}
	for _, c := range r.Components {
		request.Components = append(request.Components, ComponentRequest(c))
	}
	return request
}

// ReleaseKeyRequest asks to register a public key.
type ReleaseKeyRequest struct {
	Name   string `json:"name" example:"ci" doc:"Whose key it is"`
	PEM    string `json:"pem" doc:"The public key, as openssl pkey -pubout writes it: ed25519, or ECDSA on P-256"`
	Reason string `json:"reason,omitempty"`
}

// AutomationRequest calls an automation by hand.
type AutomationRequest struct {
	Device string         `json:"device,omitempty" maxLength:"128" doc:"What it is about: event.device"`
	Inputs map[string]any `json:"inputs,omitempty" doc:"event.data"`
	Reason string         `json:"reason,omitempty" doc:"event.reason; kept in the audit log"`
}

// ReplayRequest asks what an automation would have started.
type ReplayRequest struct {
	Since time.Time `json:"since,omitzero" doc:"Events received from then on. Default: the last 24 hours"`
}
