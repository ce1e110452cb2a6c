"""What has to run now and then?"""
