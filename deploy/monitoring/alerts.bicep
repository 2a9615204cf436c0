// Alert rules for azfn's security events: one for each thing that should wake somebody, by the queries of queries/.
metadata description = 'Alert rules for the security events of azfn.'

@description('Where the rules are kept.')
param location string = resourceGroup().location

@description('The resource id of the Application Insights resource that the function app writes to.')
param applicationInsightsId string

@description('The resource ids of the action groups that are told. Without any, alerts are only seen in the portal.')
param actionGroupIds string[] = []

@description('How grave what looks like an attack is: 0 (critical) to 3. Faults are one less grave.')
@minValue(0)
@maxValue(3)
param severity int = 1

@description('For how long a rule that has told somebody does not tell again, as an ISO 8601 duration.')
param quietFor string = 'PT1H'

@description('Protections that you have decided to do without, by event: sys_monitor_disabled:landlock_scope.')
param acceptedWeaknesses string[] = []

@description('What the names of the rules begin with.')
param namePrefix string = 'azfn'

// Each reads the time since its last run. None resolves itself: that an attack is over is for a person to say.
var rules = [
  {
    name: 'malicious'
    title: 'An attack, very likely'
    isAttack: true
    minutes: 5
    query: loadTextContent('queries/malicious.kql')
  }
  {
    name: 'refusals'
    title: 'A function was refused a secret, a service or a setting'
    isAttack: true
    minutes: 5
    query: loadTextContent('queries/refusals.kql')
  }
  {
    name: 'protections-off'
    title: 'A protection is off, or stand-ins are in use'
    isAttack: true
    minutes: 5
    query: replace(
      loadTextContent('queries/protections-off.kql'),
      'dynamic([])',
      'dynamic(${string(acceptedWeaknesses)})'
    )
  }
  {
    name: 'crash-loop'
    title: 'A handler or its workers crash again and again'
    isAttack: false
    minutes: 15
    query: loadTextContent('queries/crash-loop.kql')
  }
  {
    name: 'secrets-unavailable'
    title: 'A secret is stale, refused, missing, expired or can\'t be had'
    isAttack: false
    minutes: 5
    query: loadTextContent('queries/secrets-unavailable.kql')
  }
  {
    name: 'identity'
    title: 'The managed identity gives no tokens'
    isAttack: false
    minutes: 5
    query: loadTextContent('queries/identity.kql')
  }
  {
    name: 'log-suppressed'
    title: 'Lines of the log were dropped'
    isAttack: false
    minutes: 5
    query: loadTextContent('queries/log-suppressed.kql')
  }
]

resource alert 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${namePrefix}-${rule.name}'
    location: location
    kind: 'LogAlert'
    properties: {
      displayName: '${namePrefix}: ${rule.title}'
      description: 'How to read the rows: queries/${rule.name}.kql. What to do: docs/security-events.md.'
      enabled: true
      severity: rule.isAttack ? severity : severity + 1
      scopes: [applicationInsightsId]
      evaluationFrequency: 'PT${rule.minutes}M'
      // three crashes may lie on both sides of a run
      windowSize: rule.name == 'crash-loop' ? 'PT30M' : 'PT${rule.minutes}M'
      autoMitigate: false
      muteActionsDuration: quietFor
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: actionGroupIds
      }
    }
  }
]
