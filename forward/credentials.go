//go:build aws || azure || gcp

package forward

import "github.com/deviceops/deviceops"

// ownCredentials reports an error unless the route may use the credentials of the
// installation: a cloud would let a tenant's route write wherever these may.
func (s *pubSubSink) ownCredentials() error {
	if s.account == deviceops.RootAccount {
		return nil
	}
	return deviceops.Errorf(deviceops.EFORBIDDEN,
		"only routes of the account root send with the credentials of the installation: apply it there, with where: to select the events of %s", s.account)
}
