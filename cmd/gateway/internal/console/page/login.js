const form = document.getElementById('login')
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const response = await fetch('login', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Gateway-Action': 'login' },
    body: JSON.stringify({ token: document.getElementById('token').value }),
  })
  if (response.ok) location.reload()
  else document.getElementById('error').textContent = await response.text()
})
