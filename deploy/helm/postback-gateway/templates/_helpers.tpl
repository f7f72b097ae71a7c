{{/*
The chart's name in labels.
*/}}
{{- define "postback-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The name of the objects. A label of 63 characters holds a StatefulSet's name, a hyphen and a hash
of 10, and Services have -metrics behind it: 52 are left.
*/}}
{{- define "postback-gateway.fullname" -}}
{{- $name := include "postback-gateway.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/*
What a selector selects the gateway's pods by. It can never change: selectors are immutable.
*/}}
{{- define "postback-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "postback-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
Labels of every object.
*/}}
{{- define "postback-gateway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "postback-gateway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "postback-gateway.serviceAccountName" -}}
{{- $none := ternary (include "postback-gateway.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $none .Values.serviceAccount.name }}
{{- end }}

{{- define "postback-gateway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/*
"true" where the pods have a server and a volume of their own; empty otherwise.
*/}}
{{- define "postback-gateway.stateful" -}}
{{- if ne .Values.mode "cluster" }}true{{ end }}
{{- end }}

{{- define "postback-gateway.replicas" -}}
{{- if ne (toString .Values.replicas) "auto" }}{{ int64 .Values.replicas }}
{{- else if eq .Values.mode "embedded" }}1
{{- else }}2
{{- end }}
{{- end }}

{{/*
"true" where there is more than one pod, or may be.
*/}}
{{- define "postback-gateway.several" -}}
{{- if or .Values.autoscaling.enabled (gt (include "postback-gateway.replicas" . | int) 1) }}true{{ end }}
{{- end }}

{{/*
The Secret that the files are mounted from: the operator's or the chart's own.
*/}}
{{- define "postback-gateway.secretName" -}}
{{- default (include "postback-gateway.fullname" .) .Values.secrets.existingSecret }}
{{- end }}

{{/*
The secrets that are given, as YAML: the name of each setting and its key in the Secret.
*/}}
{{- define "postback-gateway.secretKeys" -}}
{{- $keys := dict }}
{{- if .Values.secrets.existingSecret }}
{{- range $name, $key := .Values.secrets.keys }}{{ if $key }}{{ $_ := set $keys $name $key }}{{ end }}{{ end }}
{{- else }}
{{- range $name, $value := .Values.secrets.values }}{{ if $value }}{{ $_ := set $keys $name $name }}{{ end }}{{ end }}
{{- end }}
{{- toYaml $keys }}
{{- end }}

{{/*
The ports of NATS, as a YAML list: those given, else those of the URLs.
*/}}
{{- define "postback-gateway.natsPorts" -}}
{{- $standard := dict "nats" 4222 "tls" 4222 "ws" 80 "wss" 443 }}
{{- $ports := list }}
{{- range .Values.nats.urls }}
{{- $url := urlParse . }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- $ports = append $ports (int (default (get $standard $url.scheme) $port)) }}
{{- end }}
{{- default $ports .Values.networkPolicy.natsPorts | uniq | toYaml }}
{{- end }}

{{/*
A value as the text of an environment variable. Helm reads numbers as floats, and would write 4194304
as 4.194304e+06.
*/}}
{{- define "postback-gateway.text" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}
