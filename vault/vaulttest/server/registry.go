package main

import (
	credkube "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/pki"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// secretEngines and logins are what DeviceOps uses of Vault. All that Vault
// carries would take ten times as long to build.
var (
	secretEngines = map[string]logical.Factory{"kv": kv.Factory, "pki": pki.Factory, "transit": transit.Factory}
	logins        = map[string]logical.Factory{"approle": approle.Factory, "kubernetes": credkube.Factory}
)

// registry tells Vault's plugin catalog what is built in.
type registry struct{}

func of(kind consts.PluginType) map[string]logical.Factory {
	switch kind {
	case consts.PluginTypeSecrets:
		return secretEngines
	case consts.PluginTypeCredential:
		return logins
	}
	return nil
}

func (registry) Contains(name string, kind consts.PluginType) bool {
	_, ok := of(kind)[name]
	return ok
}

func (registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	factory, ok := of(kind)[name]
	return func() (any, error) { return factory, nil }, ok
}

func (registry) Keys(kind consts.PluginType) []string {
	var names []string
	for name := range of(kind) {
		names = append(names, name)
	}
	return names
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
