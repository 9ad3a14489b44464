package deviceops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Principal is who asks: a person, a program or the engine itself.
type Principal struct {
	Name    string   `json:"name"`    // user:maria, token:ci, engine
	Account string   `json:"account"` // the subtree that it may act in
	Roles   []string `json:"roles"`
}

// Roles that come with the product.
const (
	RoleViewer   = "viewer"   // sees
	RoleOperator = "operator" // works with devices
	RoleApprover = "approver" // decides what waits for a person
	RoleAuthor   = "author"   // publishes documents
	RoleAdmin    = "admin"    // all of it but to break the glass

	// RoleBreakGlass approves in an emergency what others are asked. It is a
	// right of its own, which is given by name: no other role includes it.
	RoleBreakGlass = "break-glass"
)

// Engine is the principal under which the engine itself acts.
var Engine = Principal{Name: "engine", Account: RootAccount, Roles: []string{RoleAdmin}}

// Has reports whether p holds the role; an admin holds every role but
// break-glass, and every role includes viewer.
func (p Principal) Has(role string) bool {
	if role == RoleViewer && len(p.Roles) > 0 {
		return true
	}
	return slices.Contains(p.Roles, role) || role != RoleBreakGlass && slices.Contains(p.Roles, RoleAdmin)
}

// MayDecide reports whether p is among those whom an approval asks:
// "role:<role>" or "user:<name>".
func (p Principal) MayDecide(by []string) bool {
	return slices.ContainsFunc(by, func(who string) bool {
		if role, ok := strings.CutPrefix(who, "role:"); ok {
			return p.Has(role)
		}
		return who == p.Name
	})
}

// Token is an API token. Only its hash is kept.
type Token struct {
	Hash      string    `json:"-"` // hex SHA-256 of the token
	Principal Principal `json:"principal"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
	CreatedAt time.Time `json:"created_at"`
}

// HashToken gives the form in which a token is kept: hex SHA-256. A token is a
// random secret, so no slow hash is needed.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Tokens keeps API tokens.
type Tokens interface {
	// SaveToken stores a token, or replaces the one of the same principal.
	SaveToken(ctx context.Context, t Token) error

	// FindToken gives the token with this hash. ENOTFOUND.
	FindToken(ctx context.Context, hash string) (Token, error)
}

// AuditEntry is one line of the append-only record of who changed what.
type AuditEntry struct {
	ID       int64          `json:"id"`
	At       time.Time      `json:"at,omitzero"`
	Account  string         `json:"account"`
	Actor    string         `json:"actor"`
	Action   string         `json:"action"` // device.transition, document.publish, approval.decide ...
	Target   string         `json:"target"` // device:k1, workflow:reboot@3 ...
	Reason   string         `json:"reason,omitempty"`
	Evidence map[string]any `json:"evidence,omitempty"`
}

// AuditFilter selects entries. Zero fields select all.
type AuditFilter struct {
	Account string // this account and all below it
	Target  string
	Actor   string
	Before  int64 // entries with a lower id
	Limit   int   // 0: 100
}

// Audit keeps the audit log.
type Audit interface {
	// AppendAudit adds entries.
	AppendAudit(ctx context.Context, entries ...AuditEntry) error

	// ListAudit gives entries, newest first.
	ListAudit(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
}
