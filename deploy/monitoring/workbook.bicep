// The workbook, in the gallery of the Application Insights resource.
metadata description = 'The workbook of azfn\'s security events.'

@description('Where the workbook is kept.')
param location string = resourceGroup().location

@description('The resource id of the Application Insights resource that the function app writes to.')
param applicationInsightsId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(applicationInsightsId, 'azfn security events')
  location: location
  kind: 'shared'
  properties: {
    displayName: 'azfn: security events'
    category: 'workbook'
    sourceId: applicationInsightsId
    version: 'Notebook/1.0'
    serializedData: replace(loadTextContent('workbook.json'), '"value::1"', '"${applicationInsightsId}"')
  }
}
