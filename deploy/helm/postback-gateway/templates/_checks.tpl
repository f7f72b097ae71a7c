{{/*
Refuses values that fit the schema and make no working gateway together, all of them at once. Values
that may be secrets are not shown.
*/}}
{{- define "postback-gateway.checks" -}}
{{- $problems := concat
      (include "postback-gateway.checks.mode" . | fromYamlArray)
      (include "postback-gateway.checks.secrets" . | fromYamlArray)
      (include "postback-gateway.checks.nats" . | fromYamlArray)
      (include "postback-gateway.checks.exposure" . | fromYamlArray)
      (include "postback-gateway.checks.env" . | fromYamlArray) }}
{{- if $problems }}
{{- fail (printf "these values do not go together:\n  - %s" (join "\n  - " $problems)) }}
{{- end }}
{{- end }}

{{- define "postback-gateway.checks.mode" -}}
{{- $wrong := list }}
{{- $replicas := include "postback-gateway.replicas" . }}
{{- if and (eq .Values.mode "embedded") (ne $replicas "1") }}
{{- $wrong = append $wrong (printf "replicas: %s with mode embedded: expected 1, because each pod would have a stream of its own; use mode cluster, or relay" $replicas) }}
{{- end }}
{{- if and .Values.autoscaling.enabled (ne .Values.mode "cluster") }}
{{- $wrong = append $wrong (printf "autoscaling.enabled with mode %s: expected mode cluster, because a pod that is taken away leaves events on its volume" .Values.mode) }}
{{- end }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- $wrong = append $wrong (printf "autoscaling.minReplicas: %d is more than autoscaling.maxReplicas, which is %d" (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- end }}
{{- toYaml $wrong }}
{{- end }}

{{- define "postback-gateway.checks.secrets" -}}
{{- $wrong := list }}
{{- $given := include "postback-gateway.secretKeys" . | fromYaml }}
{{- if .Values.secrets.existingSecret }}
{{- range $name, $value := .Values.secrets.values }}
{{- if $value }}
{{- $wrong = append $wrong (printf "secrets.values.%s with secrets.existingSecret: expected one of them" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if or (eq .Values.mode "cluster") (include "postback-gateway.several" .) }}
{{- range $name := list "META_APP_SECRETS" "META_VERIFY_TOKEN" }}
{{- if not (hasKey $given $name) }}
{{- $wrong = append $wrong (printf "the secret %s is not given: expected secrets.existingSecret with secrets.keys.%s, or secrets.values.%s, because a secret that a gateway makes itself needs a volume and is that of one pod" $name $name $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.consumers.enabled (ne .Values.mode "embedded") }}
{{- $wrong = append $wrong (printf "consumers.enabled with mode %s: expected mode embedded; consumers read from nats.urls" .Values.mode) }}
{{- end }}
{{- if and .Values.consumers.enabled (not (hasKey $given "EMBEDDED_TOKEN")) }}
{{- $wrong = append $wrong "consumers.enabled without the secret EMBEDDED_TOKEN: expected one, because whoever reaches the server can read and write all events" }}
{{- end }}
{{- toYaml $wrong }}
{{- end }}

{{- define "postback-gateway.checks.nats" -}}
{{- $wrong := list }}
{{- $given := include "postback-gateway.secretKeys" . | fromYaml }}
{{- $nats := .Values.nats }}
{{- $logins := dict "nats.creds.secretName" $nats.creds.secretName "nats.nkey.secretName" $nats.nkey.secretName "nats.user" $nats.user "the secret NATS_TOKEN" (get $given "NATS_TOKEN") }}
{{- $login := list }}
{{- range $name, $value := $logins }}{{ if $value }}{{ $login = append $login $name }}{{ end }}{{ end }}
{{- if eq .Values.mode "embedded" }}
{{- $others := dict "nats.urls" $nats.urls "nats.ca" (or $nats.ca.secretName $nats.ca.configMapName) "nats.clientCert.secretName" $nats.clientCert.secretName "the secret NATS_PASSWORD" (get $given "NATS_PASSWORD") }}
{{- range $name, $value := merge $others $logins }}
{{- if $value }}{{ $wrong = append $wrong (printf "%s has no effect with mode embedded: expected mode cluster or relay" $name) }}{{ end }}
{{- end }}
{{- else }}
{{- if not $nats.urls }}
{{- $wrong = append $wrong (printf "nats.urls is empty with mode %s: expected servers like nats://nats.nats.svc:4222" .Values.mode) }}
{{- end }}
{{- if gt (len $login) 1 }}
{{- $wrong = append $wrong (printf "%s are more than one way to log in to NATS: expected one" (join ", " $login)) }}
{{- end }}
{{- if ne (empty $nats.user) (not (hasKey $given "NATS_PASSWORD")) }}
{{- $wrong = append $wrong "nats.user and the secret NATS_PASSWORD belong together: expected both or neither" }}
{{- end }}
{{- end }}
{{- range $i, $url := $nats.urls }}
{{- if contains "@" $url }}
{{- $wrong = append $wrong (printf "nats.urls[%d] holds a login: expected nats.user and the secret NATS_PASSWORD, or the secret NATS_TOKEN, because the URLs stand in a ConfigMap" $i) }}
{{- end }}
{{- end }}
{{- if and $nats.ca.secretName $nats.ca.configMapName }}
{{- $wrong = append $wrong "nats.ca.secretName and nats.ca.configMapName: expected one of them" }}
{{- end }}
{{- toYaml $wrong }}
{{- end }}

{{- define "postback-gateway.checks.exposure" -}}
{{- $wrong := list }}
{{- $clientCA := .Values.tls.clientCA }}
{{- if and $clientCA.secretName $clientCA.configMapName }}
{{- $wrong = append $wrong "tls.clientCA.secretName and tls.clientCA.configMapName: expected one of them" }}
{{- end }}
{{- if and (or $clientCA.secretName $clientCA.configMapName) (not .Values.tls.secretName) }}
{{- $wrong = append $wrong "tls.clientCA has no effect without tls.secretName: expected both, because who ends TLS checks the caller's certificate" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- $wrong = append $wrong "ingress.enabled without ingress.hosts: expected at least one host, because one without would take /webhooks of all of them" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- $wrong = append $wrong "httpRoute.enabled without httpRoute.parentRefs: expected at least one Gateway" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.hostnames) }}
{{- $wrong = append $wrong "httpRoute.enabled without httpRoute.hostnames: expected at least one host, because one without would take /webhooks of all of them" }}
{{- end }}
{{- toYaml $wrong }}
{{- end }}

{{/*
A variable that stands twice in a container is decided by the order, which is nobody's intention.
*/}}
{{- define "postback-gateway.checks.env" -}}
{{- $wrong := list }}
{{- $known := concat (list "LISTEN" "ADMIN_LISTEN" "DATA_DIR" "EMBEDDED_LISTEN" "SHUTDOWN_TIMEOUT" "RELAY" "NATS_URL" "NATS_USER" "NATS_CREDS" "NATS_NKEY" "NATS_CA" "NATS_CERT" "NATS_KEY" "TLS_CERT" "TLS_KEY" "TLS_CLIENT_CA") (keys .Values.settings) (keys .Values.secrets.values) }}
{{- range .Values.extraEnv }}
{{- $name := trimPrefix "GATEWAY_" .name | trimSuffix "_FILE" }}
{{- if and (hasPrefix "GATEWAY_" .name) (has $name $known) }}
{{- $wrong = append $wrong (printf "extraEnv has %s: expected it to be set by the value that the chart has for it" .name) }}
{{- end }}
{{- end }}
{{- if contains "@" (toString .Values.settings.OTLP_ENDPOINT) }}
{{- $wrong = append $wrong "settings.OTLP_ENDPOINT holds a login: expected a URL without one, because settings stand in a ConfigMap" }}
{{- end }}
{{- toYaml $wrong }}
{{- end }}
