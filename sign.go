package deviceops

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// SigningKey signs what people decide on its way from a server of the
// installation to the workflow that waits: who merely reaches Temporal cannot
// decide in somebody's name. An empty key signs nothing and believes everything,
// as in rehearsals.
type SigningKey []byte

// SigningKeySize is the length of a key in bytes.
const SigningKeySize = 32

// SignDecision gives d with a signature over all of it.
func (k SigningKey) SignDecision(d Decision) Decision {
	d.Signature = ""
	d.Signature = k.sign("decision", d)
	return d
}

// SignDelegation gives d with a signature over all of it.
func (k SigningKey) SignDelegation(d Delegation) Delegation {
	d.Signature = ""
	d.Signature = k.sign("delegation", d)
	return d
}

// SignControl gives c with a signature over all of it.
func (k SigningKey) SignControl(c RolloutControl) RolloutControl {
	c.Signature = ""
	c.Signature = k.sign("control", c)
	return c
}

// CheckControl gives EFORBIDDEN for a control that this key did not sign.
func (k SigningKey) CheckControl(c RolloutControl) error {
	return k.check(c.Signature, k.SignControl(c).Signature)
}

// CheckDecision gives EFORBIDDEN for a decision that this key did not sign.
func (k SigningKey) CheckDecision(d Decision) error {
	return k.check(d.Signature, k.SignDecision(d).Signature)
}

// CheckDelegation gives EFORBIDDEN for a delegation that this key did not sign.
func (k SigningKey) CheckDelegation(d Delegation) error {
	return k.check(d.Signature, k.SignDelegation(d).Signature)
}

// sign gives the HMAC-SHA256 of a kind and a value as JSON, which has sorted
// keys and one way to write each number.
func (k SigningKey) sign(kind string, v any) string {
	data, err := json.Marshal(v)
	if len(k) == 0 || err != nil {
		return "" // what is no JSON does not get as far as a workflow
	}
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(kind + "\x00"))
	mac.Write(data)
	return hex.EncodeToString(mac.Sum(nil))
}

func (k SigningKey) check(given, want string) error {
	if len(k) > 0 && (want == "" || !hmac.Equal([]byte(given), []byte(want))) {
		return Errorf(EFORBIDDEN, "this was not signed by a server of the installation: decide by the API, the command line or the console")
	}
	return nil
}
